"""The stack as a library: real servers, real failures."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from infra.local import ports
from infra.local.process import started_at, wait_until
from infra.local.stack import LocalStack
from infra.local.topics import check_kafka, create_topics, topic_names
from shared import config as configuration
from shared.config import Config, KafkaConfig
from shared.errors import ConflictError, UnavailableError

ROOT = Path(__file__).parents[2]


def test_a_free_port_lies_below_the_range_of_outgoing_connections() -> None:
    port = ports.free_port()
    assert ports.LOW <= port < ports.HIGH
    assert ports.is_free(port)


def test_a_port_in_use_is_named_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"^port {port}, configured for Kafka, is already in use"):
            ports.claim("Kafka", port, None)


def test_a_remembered_port_gives_way_when_it_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert ports.claim("Redis", None, taken) != taken
    free = ports.free_port()
    assert ports.claim("Redis", None, free) == free


def test_one_port_for_both_servers_is_refused(tmp_path: Path) -> None:
    port = ports.free_port()
    with pytest.raises(UnavailableError, match=f"port {port} is configured for both"):
        LocalStack(tmp_path, kafka_port=port, redis_port=port).start()


@pytest.mark.slow
def test_a_stack_serves_and_a_test_has_topics_of_its_own(config: Config) -> None:
    with redis.Redis.from_url(config.redis.url) as client:
        client.set(f"{config.redis.namespace}:x", "1")
        assert client.get(f"{config.redis.namespace}:x") == b"1"
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers)
    sent = producer.send(config.kafka.plays_topic, key=b"m1", value=b"{}").get(timeout=20)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=config.kafka.bootstrap_servers, consumer_timeout_ms=20_000)
    place = TopicPartition(config.kafka.plays_topic, sent.partition)
    assert len(consumer.partitions_for_topic(config.kafka.plays_topic)) == config.kafka.partitions
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    assert next(consumer).key == b"m1"
    consumer.close()
    assert create_topics(config.kafka) == []  # they are there already


@pytest.mark.slow
def test_data_and_ports_outlive_a_restart_and_settings_are_kept(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as first:
        before = first.config
        with redis.Redis.from_url(before.redis.url) as client:
            client.set("kept", "yes")
        with pytest.raises(ConflictError, match=f"already run by process {os.getpid()}"):
            LocalStack(tmp_path).start()
    written = tmp_path / "marquee.toml"
    written.write_text(written.read_text() + "\n[training]\nfactors = 32\n")
    with LocalStack(tmp_path) as second:
        assert second.config == before
        with redis.Redis.from_url(second.config.redis.url) as client:
            assert client.get("kept") == b"yes"
    found = configuration.load(written)
    assert found.training.factors == 32
    assert (found.redis.url, found.kafka, found.lake) == (before.redis.url, before.kafka, before.lake)


@pytest.mark.slow
def test_killed_servers_are_reported_and_come_back_with_their_data(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        assert stack.reports() == []
        create_topics(KafkaConfig(bootstrap_servers=stack.kafka.bootstrap_servers, plays_topic="more", partitions=1))
        stack.kafka.kill()
        stack.redis.kill()
        reports = stack.reports()
        assert len(reports) == 2
        assert all("SIGKILL" in report for report in reports)
        with pytest.raises(UnavailableError, match=r"Kafka at 127\.0\.0\.1"):
            stack.kafka.check(0.5)
        with pytest.raises(UnavailableError, match="Redis at"):
            stack.redis.check(0.5)
        stack.redis.start()
        stack.kafka.start()
        assert stack.reports() == []
        assert create_topics(stack.config.kafka) == []


@pytest.mark.slow
def test_two_stacks_side_by_side_do_not_disturb_each_other(stack: LocalStack, tmp_path: Path) -> None:
    with LocalStack(tmp_path) as other:
        assert other.config.redis.url != stack.config.redis.url
        assert other.config.kafka.bootstrap_servers != stack.config.kafka.bootstrap_servers
        with redis.Redis.from_url(other.config.redis.url) as client:
            client.set("only-here", "1")
    with redis.Redis.from_url(stack.config.redis.url) as client:
        assert client.get("only-here") is None
    check_kafka(stack.config.kafka)


@pytest.mark.slow
def test_no_server_outlives_a_killed_owner(tmp_path: Path) -> None:
    code = """
        import pathlib, sys, threading, time
        from infra.local.stack import LocalStack
        stack = LocalStack(pathlib.Path(sys.argv[1]))
        # A thread that ends must not take the servers with it; the process that ends must.
        thread = threading.Thread(target=stack.start)
        thread.start()
        thread.join()
        time.sleep(0.5)
        stack.redis.check(5)
        print(stack.kafka.pid, stack.redis.pid, flush=True)
        time.sleep(120)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2
        assert all(started_at(pid) for pid in pids)
        owner.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not any(started_at(pid) for pid in pids), 10)
    with LocalStack(tmp_path):  # what the dead owner left does not stand in the way
        pass


@pytest.mark.slow
def test_a_server_that_cannot_start_leaves_the_other_one_not_running(tmp_path: Path) -> None:
    (tmp_path / "stack" / "redis").mkdir(parents=True)
    (tmp_path / "stack" / "redis" / "appendonly.aof").write_bytes(b"not an append-only file")
    (tmp_path / "stack" / "redis" / "appendonlydir").write_bytes(b"")  # where Redis 7 keeps it
    stack = LocalStack(tmp_path)
    with pytest.raises(UnavailableError, match=r"Redis ended with .* while starting; the last line of .*redis\.log"):
        stack.start()
    assert not stack.kafka.is_running


def test_a_topic_list_names_all_four() -> None:
    assert topic_names(KafkaConfig()) == ["plays", "feedback", "impressions", "dead-letters"]
