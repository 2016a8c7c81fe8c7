"""What the worker makes of the stream equals a plain fold of the log, byte for byte: whatever dies in between."""

import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from infra.local.settings import write_settings
from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.dead_letters import letters as dead_letters
from shared import config as configuration
from shared import store
from shared.config import Config
from tests.nearline.event_log import START_MS, EventLog, play, states_in_redis

pytestmark = pytest.mark.slow

LIMIT_S = 90.0


def settings(config: Config, folder: Path) -> Path:
    """The configuration as a file, as a worker process needs it."""
    path = folder / "marquee.toml"
    extra = f'[redis]\nnamespace = "{config.redis.namespace}"\n'
    extra += "[kafka]\n" + "".join(
        f'{name} = "{getattr(config.kafka, name)}"\n'
        for name in ("plays_topic", "feedback_topic", "impressions_topic", "dead_letters_topic")
    )
    extra += f'[nearline]\ngroup = "{config.nearline.group}"\nsession_timeout_s = 6.0\nbatch_events = 500\n'
    path.write_text(extra, encoding="utf-8")
    write_settings(path, config)
    assert configuration.load(path).kafka == config.kafka
    return path


def assert_states_equal_the_fold(log: EventLog) -> None:
    expected = log.oracle()
    assert states_in_redis(log.config, list(expected)) == expected


def watermark_sum(config: Config) -> int:
    """How many records of the plays topic are in Redis."""
    from shared import keys

    with store.connect(config.redis) as client:
        return sum(int(mark) for mark in client.hvals(keys.watermark(config.redis.namespace, config.kafka.plays_topic)))


def test_the_stream_equals_the_fold_and_the_unreadable_goes_aside(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(3000, members=80, seed=1)
    bad: list[tuple[str, bytes | None, bytes | None]] = [
        (config.kafka.plays_topic, b"m1", b"{"),
        (config.kafka.plays_topic, b"m2", None),
        (config.kafka.plays_topic, None, log.records[0][2]),
        (config.kafka.feedback_topic, b"m1", b'{"schema":1}'),
    ]
    for number, record in enumerate(bad):
        log.records.insert(500 * number, record)
    with NearlineWorker(settings(config, tmp_path)) as worker:
        log.send()
        wait_caught_up(config, LIMIT_S)
        assert_states_equal_the_fold(log)
        more = EventLog(config, log.records)
        sent = len(log.records)
        more.invent(500, members=80, seed=2)
        EventLog(config, more.records[sent:]).send()
        wait_caught_up(config, LIMIT_S)
        assert_states_equal_the_fold(more)
    assert worker.exit_code == 0
    letters = [dead_letters.decode(value) for value in values(config, config.kafka.dead_letters_topic)]
    assert sorted(letter.topic for letter in letters) == sorted(topic for topic, _, _ in bad)
    assert all(letter.reason for letter in letters)


def values(config: Config, topic: str) -> list[bytes]:
    """All records of a topic."""
    reader = KafkaConsumer(
        bootstrap_servers=config.kafka.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    try:
        partitions = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic)]
        reader.assign(partitions)
        missing = sum(reader.end_offsets(partitions).values())
        found: list[bytes] = []
        deadline_s = time.monotonic() + LIMIT_S
        while len(found) < missing and time.monotonic() < deadline_s:
            found += [record.value for batch in reader.poll(timeout_ms=500).values() for record in batch]
        return found
    finally:
        reader.close()


def test_a_worker_killed_in_mid_stream_loses_and_doubles_nothing(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(12_000, members=400, seed=3)
    log.send()
    path = settings(config, tmp_path)
    reached = [0]
    for instance in range(4):
        worker = NearlineWorker(path, tmp_path / f"worker{instance}.log", instance="only")
        worker.start(LIMIT_S)
        deadline_s = time.monotonic() + LIMIT_S
        while watermark_sum(config) < min(reached[-1] + 1500, 10_000) and time.monotonic() < deadline_s:
            time.sleep(0.005)
        worker.kill()
        reached.append(watermark_sum(config))
    plays = sum(topic == config.kafka.plays_topic for topic, _, _ in log.records)
    assert 0 < reached[1] < plays, "the first worker was to die in mid stream"
    with NearlineWorker(path, instance="only"):
        wait_caught_up(config, LIMIT_S)
    assert_states_equal_the_fold(log)


def test_two_workers_share_the_partitions_and_one_takes_over_from_the_other(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(4000, members=200, seed=4)
    path = settings(config, tmp_path)
    first, second = (NearlineWorker(path, tmp_path / f"{name}.log") for name in ("first", "second"))
    with first:
        half = len(log.records) // 2
        EventLog(config, log.records[:half]).send()
        with second:
            EventLog(config, log.records[half:]).send()
            wait_caught_up(config, LIMIT_S)
            assert_states_equal_the_fold(log)
            shared = second.output().split("ready:")[1].splitlines()[0]
            assert shared.count("/") == 3, f"the second worker has {shared}, of 4 partitions of each of 3 topics"
            first.kill()
            late = EventLog(config, [*log.records])
            late.add(play("m1", 99_999, title="after the crash", at_ms=START_MS + 1_000_000_000))
            for number in range(20):
                late.add(play(f"m{number}", 100_000 + number, title="takeover", at_ms=START_MS + 1_000_000_000))
            EventLog(config, late.records[len(log.records) :]).send()
            wait_caught_up(config, LIMIT_S)
            assert_states_equal_the_fold(late)


def test_a_redis_that_was_emptied_is_filled_again_from_the_log(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(1000, members=50, seed=5)
    log.send()
    path = settings(config, tmp_path)
    with NearlineWorker(path):
        wait_caught_up(config, LIMIT_S)
    with store.connect(config.redis) as client:
        for key in client.scan_iter(f"{config.redis.namespace}:*"):
            client.delete(key)
    with NearlineWorker(path):
        wait_caught_up(config, LIMIT_S)
    assert_states_equal_the_fold(log)
