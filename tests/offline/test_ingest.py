"""Ingest on real Kafka and Delta: each record once, duplicates of an event once, the unreadable kept with its reason."""

import time

import msgspec
import pytest
from kafka import KafkaConsumer, TopicPartition
from pyspark.sql import functions as F

from infra.local.topics import create_topics, delete_topics
from offline import ingest
from offline.jobs import run
from shared import epochs, events, store, tables, topics
from shared.config import Config
from shared.epochs import Epoch
from shared.errors import UnavailableError
from shared.events import Cell, Feedback, Impression
from tests.offline.pipeline import START_MS, context, plays, produce, records

pytestmark = pytest.mark.slow


def test_lands_every_record_once_and_every_event_once(config: Config) -> None:
    made = plays(200)
    ahead = msgspec.structs.replace(made[0], member_id="m1", at_ms=int(time.time() * 1000) + 26 * 3_600_000)
    bad = [(b"m1", b'{"schema":1}'), (b"m1", b"\xff"), (None, events.encode(made[0])), (b"m1", None), *records([ahead])]
    thumb = Feedback(schema=1, event_id="f1", member_id="m1", title_id="t01", kind="thumbs_up", at_ms=START_MS)
    produce(config, config.kafka.plays_topic, [*records(made), *records(made[:50]), *bad])
    produce(config, config.kafka.feedback_topic, records([thumb]))
    cell = Cell(row="top-picks", row_index=0, rank=3, title_id="t07", tier="live", propensity=0.25)
    shown = Impression(
        schema=1, page_id="p1", member_id="m1", at_ms=START_MS, snapshot="v1", fence={}, allocation={"test": "b"}, cells=[cell]
    )
    produce(config, config.kafka.impressions_topic, [(b"m1", events.encode(shown))] * 2)
    job_context = context(config)
    lake = job_context.lake

    assert run(ingest.JOB, job_context).details == {"records": str(len(made) + 50 + len(bad) + 1 + 2)}

    assert lake.read(tables.BRONZE).count() == len(made) + 50 + len(bad) + 1 + 2
    [page] = lake.read(tables.IMPRESSIONS).collect()
    assert (page["page_id"], page["allocation"], page["source"]) == ("p1", {"test": "b"}, config.kafka.impressions_topic)
    assert [shown_cell.asDict() for shown_cell in page["cells"]] == [msgspec.to_builtins(cell)]
    landed = lake.read(tables.PLAYS)
    assert {row["event_id"] for row in landed.select("event_id").collect()} == {play.event_id for play in made}
    assert landed.count() == len(made)
    assert [row["kind"] for row in lake.read(tables.FEEDBACK).collect()] == ["thumbs_up"]
    reasons = {row["reason"] for row in lake.read(tables.QUARANTINE).collect()}
    assert reasons == {
        "Object missing required field `event_id`",
        "the record has no key; its member_id is due",
        "the record has no value",
    } | {reason for reason in reasons if reason.startswith("not a JSON object") or reason.endswith("a clock is wrong")}
    assert len(reasons) == len(bad)

    # Whatever is asked of the values, they are the producer's.
    row = landed.where(F.col("event_id") == made[7].event_id).collect()[0]
    assert (row["position_s"], row["at_ms"], row["member_id"]) == (made[7].position_s, made[7].at_ms, made[7].member_id)
    assert row["source"] == config.kafka.plays_topic and row["epoch"] == 1 and row["offset"] is not None

    before = lake.version(tables.PLAYS)
    produce(config, config.kafka.plays_topic, records(plays(20, seed=2)))
    run(ingest.JOB, job_context)
    assert lake.read(tables.PLAYS).count() == len(made) + 20
    assert lake.read(tables.PLAYS, before).count() == len(made)  # time travel


def test_a_batch_that_runs_again_after_a_crash_adds_nothing(config: Config) -> None:
    job_context = context(config)
    lake = job_context.lake
    rows = [(key, value, 0, offset, None) for offset, (key, value) in enumerate([*records(plays(30)), (b"m1", b"broken")])]
    batch = lake.spark.createDataFrame(rows, "key BINARY, value BINARY, partition INT, offset LONG, timestamp TIMESTAMP")
    for _ in range(2):
        ingest.land_batch(lake, batch, "plays", [Epoch(1, 1)], events.decode_play, tables.PLAYS, batch_id=0)
    assert lake.read(tables.BRONZE).count() == 31
    assert lake.read(tables.PLAYS).count() == 30
    assert lake.read(tables.QUARANTINE).count() == 1


def test_a_topic_created_anew_gets_a_new_epoch_and_is_read_from_its_start(config: Config) -> None:
    produce(config, config.kafka.plays_topic, records(plays(20)))
    job_context = context(config)
    run(ingest.JOB, job_context)
    delete_topics(config.kafka, [config.kafka.plays_topic])
    create_topics(config.kafka)
    produce(config, config.kafka.plays_topic, records(plays(5, seed=3)))
    run(ingest.JOB, job_context)
    counts = {row["epoch"]: row["count"] for row in job_context.lake.read(tables.BRONZE).groupBy("epoch").count().collect()}
    assert counts == {1: 20, 2: 5}


def test_a_topic_that_got_more_partitions_lands_once_with_each_record_in_its_epoch(config: Config) -> None:
    name = config.kafka.plays_topic
    produce(config, name, records(plays(40)))
    job_context = context(config)
    run(ingest.JOB, job_context)
    produce(config, name, records(plays(20, seed=4)))  # ingest has not seen these when the topic grows
    made_before = end_offsets(config, name)
    known = topics.describe(config.kafka, [name])[name]
    with store.connect(config.redis) as client, topics.admin(config.kafka) as admin:
        epochs.begin(client, config.redis.namespace, name, known.topic_id, 7, made_before)
        admin.create_partitions({name: 7})
        admin.wait_for_topics([name])
    produce(config, name, records(plays(60, seed=5)))
    run(ingest.JOB, job_context)
    landed = job_context.lake.read(tables.BRONZE)
    assert landed.count() == 120
    for row in landed.select("epoch", "partition", "offset").collect():
        assert row["epoch"] == (1 if row["offset"] < made_before.get(row["partition"], 0) else 2)
    assert {row["partition"] for row in landed.where("epoch = 2").collect()} > {4, 5}


def end_offsets(config: Config, topic: str) -> dict[int, int]:
    """Where each partition of a topic ends."""
    reader = KafkaConsumer(bootstrap_servers=config.kafka.bootstrap_servers)
    try:
        places = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic)]
        return {place.partition: offset for place, offset in reader.end_offsets(places).items()}
    finally:
        reader.close()


def test_kafka_away_is_one_sentence(config: Config) -> None:
    away = msgspec.structs.replace(
        config, kafka=msgspec.structs.replace(config.kafka, bootstrap_servers="127.0.0.1:1", timeout_s=2.0)
    )
    with pytest.raises(UnavailableError, match=r"Kafka at 127\.0\.0\.1:1 "):
        run(ingest.JOB, context(away))
