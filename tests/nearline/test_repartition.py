"""More partitions by a drained cut-over, on a real Kafka with a real worker: nothing lost though members move."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.__main__ import main
from nearline.records import Place
from nearline.watermarks import Watermarks
from shared import store, topics
from shared.config import Config
from shared.epochs import Epoch, history
from tests.nearline.event_log import EventLog, play
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
    path = settings(config, tmp_path)
    log = EventLog(config)
    log.invent(2000, members=60, seed=1)
    with NearlineWorker(path):
        log.send()
        wait_caught_up(config, LIMIT_S)
        code, told = repartition(path)
        assert code == 0, told
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


def test_a_topic_that_grew_by_other_means_goes_on_in_a_new_epoch_without_loss(config: Config, tmp_path: Path) -> None:
    path = settings(config, tmp_path)
    log = EventLog(config)
    log.invent(200, members=20, seed=3)
    with NearlineWorker(path):
        log.send()
        wait_caught_up(config, LIMIT_S)
    sent = len(log.records)
    log.invent(50, members=20, seed=4)  # no worker has read these when the topic grows
    EventLog(config, log.records[sent:]).send()
    with topics.admin(config.kafka) as admin:
        admin.create_partitions({config.kafka.plays_topic: MORE})
        admin.wait_for_topics([config.kafka.plays_topic])
    sent = len(log.records)
    log.invent(100, members=20, seed=5)
    EventLog(config, log.records[sent:]).send()
    with NearlineWorker(path):
        wait_caught_up(config, LIMIT_S)
        assert_states_equal_the_fold(log)
    before, after = epochs_of(config, config.kafka.plays_topic)
    assert (before.partitions, after.partitions) == (4, MORE)
    assert 0 < sum(after.starts.values()) <= 250
