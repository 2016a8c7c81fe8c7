"""Lands the Kafka topics in the lake: records as they came in bronze, what they say in silver, the unreadable in quarantine.

Each topic is one Structured Streaming query that reads what is there and stops. A micro-batch may run twice after a crash:
bronze takes it once by its Delta transaction id, silver and quarantine by their keys. A topic that was created anew has a
checkpoint of its own. One that got more partitions goes on in the same: each record is of the epoch that had begun at its
offset, so ingest need not have kept up with the cut-over, and nothing lands twice.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from offline.erased import without_erased_records
from offline.jobs import Context, Job
from shared import epochs, events, store, tables
from shared import topics as kafka_topics
from shared.config import Config
from shared.epochs import Epoch
from shared.errors import EventError, UnavailableError
from shared.lake import ArrowFunction, Lake, root_cause, schema
from shared.tables import Table

RECORDS_PER_BATCH = 2_000_000
"""Bounds the work of one micro-batch, however long the backlog."""
QUERY_LIMIT_S = 4 * 3600

Decode = Callable[[bytes | None, bytes | None, int | None], Any]


def work(context: Context) -> dict[str, str]:
    """Ingest all topics up to what they hold now."""
    config, lake = context.config, context.lake
    sources: list[tuple[str, Decode, Table]] = [
        (config.kafka.plays_topic, events.decode_play, tables.PLAYS),
        (config.kafka.feedback_topic, events.decode_feedback, tables.FEEDBACK),
        (config.kafka.impressions_topic, events.decode_impression, tables.IMPRESSIONS),
    ]
    histories = _histories(config, lake, [topic for topic, _, _ in sources])
    queries = [(topic, _start(config, lake, topic, histories[topic], decode, table)) for topic, decode, table in sources]
    landed = 0
    deadline_s = time.monotonic() + QUERY_LIMIT_S
    try:
        for topic, query in queries:
            landed += _finish(topic, query, deadline_s)
    finally:
        for _, query in queries:
            query.stop()
    return {"records": str(landed)}


def _histories(config: Config, lake: Lake, topics: list[str]) -> dict[str, list[Epoch]]:
    """The epochs of each topic as it is now, agreed on through Redis and never below what the lake has seen."""
    newest = lake.read(tables.BRONZE).groupBy("topic").agg(F.max("epoch").alias("epoch")).collect()
    floors = {row["topic"]: row["epoch"] for row in newest}
    client, space = store.connect(config.redis), config.redis.namespace
    found: dict[str, list[Epoch]] = {}
    with store.reachable(config.redis):
        for name, topic in kafka_topics.describe(config.kafka, topics).items():
            epochs.number(client, space, name, topic.topic_id, topic.partitions, floors.get(name, 0))
            found[name] = epochs.history(client, space, name, topic.topic_id)
    return found


def _start(config: Config, lake: Lake, topic: str, history: list[Epoch], decode: Decode, table: Table) -> StreamingQuery:
    records = (
        lake.spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", config.kafka.bootstrap_servers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", RECORDS_PER_BATCH)
        .load()
    )

    def land(batch: DataFrame, batch_id: int) -> None:
        land_batch(lake, batch, topic, history, decode, table, batch_id)

    return (
        records.writeStream.foreachBatch(land)
        .option("checkpointLocation", lake.url(f"checkpoints/ingest/{topic}/{history[0].number}"))
        .trigger(availableNow=True)
        .queryName(f"ingest {topic}")
        .start()
    )


def _finish(topic: str, query: StreamingQuery, deadline_s: float) -> int:
    """Wait for a query; the number of records that it read."""
    try:
        if not query.awaitTermination(timeout=max(1, int(deadline_s - time.monotonic()))):
            raise UnavailableError(f"ingest of topic {topic!r} did not end within {QUERY_LIMIT_S} s")
    except UnavailableError:
        raise
    except Exception as error:
        raise UnavailableError(f"ingest of topic {topic!r} failed: {root_cause(error)}") from error
    return sum(progress["numInputRows"] for progress in query.recentProgress)


def land_batch(
    lake: Lake, batch: DataFrame, topic: str, history: list[Epoch], decode: Decode, table: Table, batch_id: int
) -> None:
    """Land one micro-batch of Kafka records. Repeating it with the same id changes nothing."""
    found = batch.select(
        F.lit(topic).alias("topic"),
        _epoch(history).alias("epoch"),
        "partition",
        "offset",
        "key",
        "value",
        F.unix_millis("timestamp").alias("arrived_at_ms"),
    )
    records = without_erased_records(lake, found).persist()
    try:
        lake.append(records, tables.BRONZE, transaction=(f"ingest/{topic}/{history[0].number}", batch_id))
        decoded = records.mapInArrow(
            _decoder(topic, decode),
            "event STRING, reason STRING, place STRING, value BINARY, epoch INT, partition INT, offset LONG, arrived_at_ms LONG",
        ).persist()
        try:
            lake.insert_new(_silver(decoded, topic, table), table)
            lake.insert_new(_quarantine(decoded, topic), tables.QUARANTINE)
        finally:
            decoded.unpersist()
    finally:
        records.unpersist()


def _epoch(history: list[Epoch]) -> Column:
    """`shared.epochs.epoch_at` of each record's partition and offset."""
    epoch = F.lit(history[0].number)
    for later in history[1:]:
        starts = F.create_map(*[F.lit(number) for place in later.starts.items() for number in place])
        start = F.coalesce(F.element_at(starts, F.col("partition")), F.lit(0))
        epoch = F.when(F.col("offset") >= start, F.lit(later.number)).otherwise(epoch)
    return epoch


def _decoder(topic: str, decode: Decode) -> ArrowFunction:
    """Validate records with the decoder that the nearline worker uses; a valid event goes on as its plain JSON."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        encode = msgspec.json.Encoder().encode
        for batch in batches:
            found: list[str | None] = []
            reasons: list[str | None] = []
            columns = [batch[name].to_pylist() for name in ("key", "value", "arrived_at_ms")]
            for key, value, arrived_at_ms in zip(*columns, strict=True):
                try:
                    found.append(encode(decode(value, key, arrived_at_ms)).decode())
                    reasons.append(None)
                except EventError as error:
                    found.append(None)
                    reasons.append(str(error))
            rows = zip(*(batch[name].to_pylist() for name in ("epoch", "partition", "offset")), strict=True)
            places = [f"{epoch}:{partition}:{offset}" for epoch, partition, offset in rows]
            bad = pa.array([reason is not None for reason in reasons])
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(found, pa.string()),
                    pa.array(reasons, pa.string()),
                    pa.array(places, pa.string()),
                    pc.if_else(bad, batch["value"], pa.scalar(None, batch["value"].type)),
                    batch["epoch"],
                    batch["partition"],
                    batch["offset"],
                    batch["arrived_at_ms"],
                ],
                names=["event", "reason", "place", "value", "epoch", "partition", "offset", "arrived_at_ms"],
            )

    return run


def _silver(decoded: DataFrame, topic: str, table: Table) -> DataFrame:
    """The valid events as columns of their table, with where they came from."""
    wanted = schema(table)
    event = F.from_json("event", wanted).alias("e")
    return (
        decoded.where("reason IS NULL")
        .select(event, "epoch", "partition", "offset", "arrived_at_ms")
        .select(
            *[F.col(f"e.{field.name}").alias(field.name) for field in wanted if field.name not in _ADDED],
            F.lit(topic).alias("source"),
            "epoch",
            "partition",
            "offset",
            "arrived_at_ms",
            F.date_format(F.timestamp_millis(F.col("e.at_ms")), "yyyy-MM").alias("month"),
        )
    )


_ADDED = ("source", "epoch", "partition", "offset", "arrived_at_ms", "month")


def _quarantine(decoded: DataFrame, topic: str) -> DataFrame:
    return decoded.where("reason IS NOT NULL").select(
        F.lit(topic).alias("source"), "place", "reason", "value", F.col("arrived_at_ms").alias("found_at_ms")
    )


JOB = Job(
    name="ingest",
    summary="land the Kafka topics in Delta",
    reads=(),
    writes=(tables.BRONZE, tables.PLAYS, tables.FEEDBACK, tables.IMPRESSIONS, tables.QUARANTINE),
    work=work,
    is_current=lambda context: False,  # what the topics hold changes without a table changing
)
