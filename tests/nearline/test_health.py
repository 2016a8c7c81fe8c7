"""Health and readiness: over HTTP, to systemd, and what is counted about freshness, restarts and records that expired."""

import asyncio
import http.client
import json
import logging
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.local import ports
from infra.local.topics import create_topics, delete_topics
from nearline import metrics
from nearline.reading.expiry import note_expired
from nearline.reading.topic_watch import TopicWatch
from nearline.records import Arrived, Place
from nearline.watching import freshness, health, restarts, watchdog
from nearline.watching.readiness import Readiness
from nearline.watching.watchdog import Progress
from shared import metrics as shown
from shared import store, topics
from shared.config import Config

LIMIT_S = 30.0


def ask(port: int, path: str) -> tuple[int, Any]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if path.startswith("/health") else body
    finally:
        connection.close()


def test_health_and_readiness_are_told_beside_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now_s)
    progress, readiness = Progress(), Readiness(["plays", "feedback"], lambda _: None, lag_limit=10)
    port = ports.free_port()
    shown.serve(port, health.pages(progress, readiness, 30.0))

    def ready() -> tuple[int, str | None]:
        status, told = ask(port, "/health/ready")
        return status, told.get("reason")

    assert ask(port, "/health/live") == (200, {"live": True})
    assert ready() == (503, "no partitions of feedback, plays yet")
    readiness.assigned("plays", [0, 1])
    readiness.lag({"plays": 0})
    assert ready() == (503, "no partitions of feedback yet")
    readiness.assigned("feedback", [])
    readiness.lag({"plays": 9, "feedback": 2})
    assert ready() == (503, "more than 10 records behind")
    readiness.lag({"plays": 8, "feedback": 2})
    assert ready() == (200, None)
    readiness.lag({"plays": 9000, "feedback": 2})
    told = {"ready": True, "partitions": {"plays": [0, 1], "feedback": []}, "lag_records": {"plays": 9000, "feedback": 2}}
    assert ask(port, "/health/ready/") == (200, told)
    assert b"marquee_nearline_ready 1.0" in ask(port, "/metrics")[1]
    progress.beat(lag=9002)
    now_s = 131.0
    assert ask(port, "/health/live") == (503, {"live": False, "reason": "no progress for 31 s while records wait"})


def test_systemd_is_told_when_the_worker_is_ready_and_that_it_gets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(10.0)
        supervisor.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        Readiness(["plays"], lambda _: None).assigned("plays", [0])
        assert supervisor.recv(100) == b"READY=1"
        watchdog.Watchdog(Progress(), limit_s=10_000.0).start()
        assert supervisor.recv(100) == b"WATCHDOG=1"


def test_the_ages_of_a_batch_are_sampled_from_its_oldest_to_its_newest_event() -> None:
    now_ms = 1_700_000_000_000
    batch = [Arrived(0, number, now_ms - 10 * (1000 - number), None, None) for number in range(1000)]
    ages = metrics.FRESHNESS.labels("freshness-test")
    freshness.observe("freshness-test", batch, now_ms)
    freshness.observe("freshness-test", [Arrived(0, 0, now_ms + 60_000, None, None)], now_ms)  # a producer's clock is ahead
    freshness.observe("freshness-test", [Arrived(0, 0, None, None, None)], now_ms)
    freshness.observe("freshness-test", [], now_ms)
    [family] = ages.collect()
    found = {sample.labels.get("le"): sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert (found["0.001"], found["0.01"], found["5.0"], found["10.0"], found["+Inf"]) == (1, 2, 5, 9, 9)


def test_records_that_expired_before_they_were_read_are_told_loudly(caplog: pytest.LogCaptureFixture) -> None:
    place = Place("expiry-test", 3)
    with caplog.at_level(logging.ERROR):
        assert [note_expired(place, 50, start) for start in (0, 50)] == [0, 0]
        assert not caplog.records
        assert note_expired(place, 50, 61) == 11
    assert "deleted 11 records of expiry-test/3 before they were read (offsets 50 to 60)" in caplog.text
    assert metrics.RECORDS_EXPIRED.labels("expiry-test")._value.get() == 11


@pytest.mark.slow
def test_restarts_are_counted_where_the_count_outlives_the_process(config: Config) -> None:
    with store.connect(config.redis) as client:
        assert [restarts.note_start(client, config.redis.namespace, name) for name in ("a", "a", None, "a")] == [0, 1, 0, 2]
    assert metrics.RESTARTS.labels("a")._value.get() == 2


@pytest.mark.slow
def test_a_topic_that_is_created_anew_or_grows_is_noticed_and_kafka_being_away_is_not(config: Config) -> None:
    names = [config.kafka.plays_topic, config.kafka.feedback_topic]
    kafka = msgspec.structs.replace(config.kafka, bootstrap_servers=f"127.0.0.1:{ports.free_port()}", timeout_s=0.5)
    away = msgspec.structs.replace(config, kafka=kafka)

    async def watch(change: Any, broker: Config = config, *, wait_s: float = LIMIT_S) -> str | None:
        told: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        known = topics.describe(config.kafka, names)
        await asyncio.to_thread(change)
        watching = asyncio.create_task(TopicWatch(broker.kafka, known, told.set_result, every_s=0.1).run())
        try:
            return str(await asyncio.wait_for(told, wait_s))
        except TimeoutError:
            return None
        finally:
            watching.cancel()

    def grow() -> None:
        with topics.admin(config.kafka) as admin:
            admin.create_partitions({names[1]: 6})

    def create_anew() -> None:
        delete_topics(config.kafka, names[:1])
        create_topics(config.kafka)

    def remove() -> None:
        delete_topics(config.kafka, names[:1])

    end = "; start the worker again, and it goes on in the new epoch"
    assert asyncio.run(watch(lambda: None, wait_s=1.0)) is None
    assert asyncio.run(watch(lambda: None, away, wait_s=1.5)) is None
    assert asyncio.run(watch(grow)) == f"topic {names[1]!r} has 6 partitions instead of 4 now{end}"
    assert asyncio.run(watch(create_anew)) == f"topic {names[0]!r} was created anew{end}"
    assert asyncio.run(watch(remove)) == f"topic {names[0]!r} is no longer there{end}"
    create_topics(config.kafka)
