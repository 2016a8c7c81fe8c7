"""Impressions reach Kafka as the contract says; without Kafka the answer does not wait, and drops are counted."""

import time
from collections.abc import Iterator

import msgspec
import pytest
import redis
from kafka import KafkaConsumer

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from online import Cell, Page, Recommender, Row
from online.impressions import ImpressionLog, impression_of
from shared import events
from shared.config import Config, KafkaConfig
from shared.store import connect
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot


def page_of(member_id: str) -> Page:
    cell = Cell(title_id="t1", name="One", row="top-picks", row_index=0, rank=0, tier="live", score=0.5, evidence="because")
    return Page(
        page_id="p1",
        member_id=member_id,
        at_ms=NOW_MS,
        device="tv",
        country=None,
        snapshot=None,
        fence={"plays": "1:0:2"},
        state_age_ms=1,
        tier="live",
        rows=(Row(key="top-picks", name="Top", cells=(cell,)),),
        fallbacks=(),
        seconds={},
    )


def test_an_impression_says_what_was_shown() -> None:
    blob = events.encode(impression_of(page_of("Zoë")))
    impression = events.decode_impression(blob, "Zoë".encode())
    assert (impression.page_id, impression.snapshot, impression.fence) == ("p1", "", {"plays": "1:0:2"})
    assert msgspec.to_builtins(impression.cells) == [
        {"row": "top-picks", "row_index": 0, "rank": 0, "title_id": "t1", "tier": "live", "propensity": 1.0}
    ]


def test_a_full_buffer_drops_and_counts() -> None:
    log = ImpressionLog(KafkaConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", timeout_s=0.5), buffer=3)
    assert [log.offer(page_of("m")) for _ in range(5)] == [True, True, True, False, False]
    assert (log.sent, log.dropped) == (0, 2)
    log.close(0.1)
    assert (log.sent, log.dropped + log.failed) == (0, 5)


@pytest.fixture
def consumer(config: Config) -> Iterator[KafkaConsumer]:
    """Reads the test's own impressions topic from its beginning."""
    consumer = KafkaConsumer(
        config.kafka.impressions_topic,
        bootstrap_servers=config.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    yield consumer
    consumer.close()


@pytest.mark.slow
def test_impressions_reach_kafka(config: Config, consumer: KafkaConsumer) -> None:
    client = connect(config.redis)
    write_snapshot(client, config.redis.namespace, "v1", build_snapshot())
    write_events(client, config.redis.namespace, "m1", play("t2", 0.4, member_id="m1"))
    client.close()
    with Recommender(config) as recommender:
        pages = [recommender.page(f"m{number % 3}", now_ms=NOW_MS + number) for number in range(9)]
    by_id = {page.page_id: page for page in pages}
    for _ in pages:
        record = next(consumer)
        impression = events.decode_impression(record.value, record.key)
        page = by_id.pop(impression.page_id)
        assert impression == impression_of(page)
        assert impression.snapshot == "v1"
        assert sum(len(row.cells) for row in page.rows) == len(impression.cells)
    assert by_id == {}


@pytest.mark.slow
def test_pages_do_not_wait_for_a_kafka_that_is_away(
    redis_server: RedisServer, client: redis.Redis, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    away = KafkaConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", timeout_s=1.0)
    config = online_config(redis_server.url, namespace, log_impressions=True, impressions_buffer=5)
    recommender = Recommender(msgspec.structs.replace(config, kafka=away))
    tiers = {recommender.page("m0").tier for _ in range(20)}
    time.sleep(3)  # long enough for more than one attempt
    assert tiers == {"precomputed"}
    impressions = recommender._impressions
    assert impressions is not None and impressions.dropped == 15
    recommender.close()
    assert (impressions.sent, impressions.dropped + impressions.failed) == (0, 20)
    assert sum("impressions cannot be sent" in message for message in caplog.messages) == 1
