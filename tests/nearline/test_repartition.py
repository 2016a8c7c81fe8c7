"""More partitions by a drained cut-over, on a real Kafka with a real worker: nothing lost though members move."""

import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import TopicPartition

from infra.local import ports
from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.__main__ import main
from nearline.records import Place
from nearline.states.watermarks import Watermarks
from shared import events, store, topics
from shared.config import Config
from shared.epochs import Epoch, history
from tests.nearline.event_log import EventLog, play
from tests.nearline.test_health import ask
from tests.parity.test_stream_equals_fold import assert_states_equal_the_fold, settings

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
MORE = 7


def repartition(path: Path, partitions: int = MORE) -> tuple[int, str]:
    """Run the command; its exit code and what it printed."""
    done = CliRunner().invoke(main, ["repartition", "--config", str(path), "--partitions", str(partitions), "--quiet-s", "0.5"])
    return done.exit_code, done.output


def epochs_of(config: Config, name: str) -> list[Epoch]:
    topic = topics.describe(config.kafka, [name])[name]
    with store.connect(config.redis) as client:
        return history(client, config.redis.namespace, name, topic.topic_id)


def test_states_equal_the_fold_though_members_change_partition(config: Config, tmp_path: Path) -> None:
    path, port = settings(config, tmp_path), ports.free_port()
    path.write_text(path.read_text().replace("[nearline]\n", f"[nearline]\nmetrics_port = {port}\n"))
    log = EventLog(config)
    log.invent(2000, members=60, seed=1)
    with NearlineWorker(path) as worker:
        log.send()
        wait_caught_up(config, LIMIT_S)
        assert ask(port, "/health/live") == (200, {"live": True})
        code, told = repartition(path)
        assert code == 0, told
        deadline_s = time.monotonic() + LIMIT_S
        while worker.is_running and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert worker.exit_code == 1
        assert f"has {MORE} partitions instead of 4 now; start the worker again" in worker.output().splitlines()[-1]
    assert "restart the producers" in told
    names = [config.kafka.plays_topic, config.kafka.feedback_topic, config.kafka.impressions_topic]
    assert [topic.partitions for topic in topics.describe(config.kafka, names).values()] == [MORE] * 3
    before, after = epochs_of(config, config.kafka.plays_topic)
    assert (before.partitions, after.partitions, after.number) == (4, MORE, before.number + 1)
    assert sum(after.starts.values()) == sum(topic == config.kafka.plays_topic for topic, _, _ in log.records)
    with store.connect(config.redis) as client:
        marks = Watermarks(client, config.redis.namespace, {config.kafka.plays_topic: after.number})
        for number in range(MORE):  # even where Kafka has forgotten the commit, nothing from before the cut-over is read again
            place = Place(config.kafka.plays_topic, number)
            assert marks.resume(place, None) == after.starts.get(number, 0)
    sent = len(log.records)
    log.invent(300, members=60, seed=2)  # fewer than before, so that offsets in the new partitions are lower
    with NearlineWorker(path):
        EventLog(config, log.records[sent:]).send()
        wait_caught_up(config, LIMIT_S)
        assert_states_equal_the_fold(log)
        deadline_s = time.monotonic() + LIMIT_S
        while not (ready := ask(port, "/health/ready")[1])["ready"] and time.monotonic() < deadline_s:
            time.sleep(0.1)
        assert set(ready["lag_records"]) == set(names) and ready["partitions"][names[0]] == list(range(MORE))
        shown = ask(port, "/metrics")[1].decode()
        assert 'marquee_nearline_restarts{instance="unnamed"} 1.0' in shown
        ages = re.search(rf'marquee_nearline_freshness_seconds_count{{topic="{names[0]}"}} (.+)', shown)
        assert ages is not None and float(ages[1]) > 0
    assert repartition(path) == (0, f"{', '.join(names)}: {MORE} partitions already; nothing to do\n")


def test_it_refuses_while_records_wait_and_takes_no_partition_away(config: Config, tmp_path: Path) -> None:
    path = settings(config, tmp_path)
    log = EventLog(config)
    log.add(play("m1", 1))
    log.send()
    name = config.kafka.plays_topic
    assert repartition(path) == (
        2,
        f"error: topic {name!r}: 1 records are not yet in Redis; wait for the workers to catch up\n",
    )
    assert repartition(path, 3) == (2, f"error: topic {name!r} has 4 partitions; Kafka takes none away\n")
    assert topics.describe(config.kafka, [name])[name].partitions == 4
    assert len(epochs_of(config, name)) == 1


def test_it_refuses_while_a_producer_is_at_work(config: Config, tmp_path: Path) -> None:
    path = settings(config, tmp_path)
    send = (
        "import sys, time\nfrom kafka import KafkaProducer\nproducer = KafkaProducer(bootstrap_servers=sys.argv[1])\n"
        "while True:\n    producer.send(sys.argv[2], b'x').get(timeout=10)\n    print(flush=True)\n    time.sleep(0.05)\n"
    )
    arguments = [config.kafka.bootstrap_servers, config.kafka.feedback_topic]
    with subprocess.Popen([sys.executable, "-c", send, *arguments], stdout=subprocess.PIPE) as producer:
        try:
            assert producer.stdout is not None and producer.stdout.readline()
            code, told = repartition(path)
        finally:
            producer.kill()
    assert code == 2
    assert "records came within 0.5 s; stop the producers of" in told


def let_one_expire(config: Config) -> str:
    """Send a play that Kafka deletes while no worker runs; the partition that it was in."""
    topic = config.kafka.plays_topic
    with contextlib.closing(topics.producer(config.kafka, "test")) as producer, topics.admin(config.kafka) as admin:
        sent = producer.send(topic, key=b"m1", value=events.encode(play("m1", 1, title="gone"))).get(timeout=10)
        admin.delete_records({TopicPartition(topic, sent.partition): sent.offset + 1})
    return f"{topic}/{sent.partition}"


def test_a_topic_that_grew_by_other_means_goes_on_in_a_new_epoch_without_loss(config: Config, tmp_path: Path) -> None:
    path = settings(config, tmp_path)
    log = EventLog(config)
    log.invent(200, members=20, seed=3)
    with NearlineWorker(path):
        log.send()
        wait_caught_up(config, LIMIT_S)
    expired = let_one_expire(config)
    sent = len(log.records)
    log.invent(50, members=20, seed=4)  # no worker has read these when the topic grows
    EventLog(config, log.records[sent:]).send()
    with topics.admin(config.kafka) as admin:
        admin.create_partitions({config.kafka.plays_topic: MORE})
        admin.wait_for_topics([config.kafka.plays_topic])
    sent = len(log.records)
    log.invent(100, members=20, seed=5)
    EventLog(config, log.records[sent:]).send()
    with NearlineWorker(path) as worker:
        wait_caught_up(config, LIMIT_S)
        assert_states_equal_the_fold(log)
        assert f"retention deleted 1 records of {expired} before they were read" in worker.output()
    before, after = epochs_of(config, config.kafka.plays_topic)
    assert (before.partitions, after.partitions) == (4, MORE)
    assert 0 < sum(after.starts.values()) <= 250
