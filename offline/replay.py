"""Folds the whole log into member states, through the reducer that the nearline worker uses, and installs them in Redis.

The log is bronze (records as they came, decoded here as the worker decodes them) and the imported history. Members are
spread over the cluster; each is folded where its events are, and installed from there. Installing merges: a state in Redis
that is newer than the log loses nothing.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from offline.jobs import Context, Job
from shared import events, fence, keys, marks, state, store, tables
from shared.config import Config, RedisConfig
from shared.errors import EventError
from shared.fence import Fence, Position
from shared.lake import ArrowFunction, Lake
from shared.state import EMPTY

IMPORTED = "import"
"""`source` of the plays that came from files."""

_STATES_PER_BATCH = 1000


def work(context: Context) -> dict[str, str]:
    """Fold, write the states table, install in Redis."""
    config, lake = context.config, context.lake
    version = lake.overwrite(states(log(lake, config), config), tables.STATES)
    return {"members": str(lake.read(tables.STATES, version).count()), "installed": str(install(lake, config, version))}


def log(lake: Lake, config: Config) -> DataFrame:
    """Every play and feedback ever, as records: topic, epoch, partition, offset, arrived_at_ms, key, value.

    Imported history has no place in a topic: its epoch is null.
    """
    topics = [config.kafka.plays_topic, config.kafka.feedback_topic]
    columns = ["topic", "epoch", "partition", "offset", "arrived_at_ms", "key", "value"]
    streamed = lake.read(tables.BRONZE).where(F.col("topic").isin(topics)).select(*columns)
    nowhere = F.lit(None).cast("int")
    imported = lake.read(tables.PLAYS).where(F.col("source") == IMPORTED)
    event = F.struct(
        F.lit(events.SCHEMA_VERSION).alias("schema"),
        "event_id",
        "member_id",
        "title_id",
        "kind",
        "session_id",
        "at_ms",
        "position_s",
        "runtime_s",
        "watched_s",
        "device",
        "country",
    )
    return streamed.unionByName(
        imported.select(
            F.lit(config.kafka.plays_topic).alias("topic"),
            nowhere.alias("epoch"),
            nowhere.alias("partition"),
            nowhere.cast("long").alias("offset"),
            nowhere.cast("long").alias("arrived_at_ms"),
            F.col("member_id").cast("binary").alias("key"),
            F.to_json(event).cast("binary").alias("value"),
        )
    )


def states(records: DataFrame, config: Config) -> DataFrame:
    """Fold a log into one state a member; records that cannot be read are left out, as the worker leaves them out."""
    feedback_topic = config.kafka.feedback_topic

    def fold_sorted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = itertools.chain.from_iterable(_rows(batch) for batch in batches)
        folded = (_fold(key, list(group), feedback_topic) for key, group in itertools.groupby(rows, key=lambda row: row[0]))
        known = (row for row in folded if row is not None)
        while chunk := list(itertools.islice(known, _STATES_PER_BATCH)):
            members, blobs, marks = zip(*chunk, strict=True)
            yield pa.RecordBatch.from_arrays(
                [pa.array(members, pa.string()), pa.array(blobs, pa.binary()), pa.array(marks, pa.binary())],
                names=["member_id", "state", "fence"],
            )

    return (
        records.where("key IS NOT NULL AND value IS NOT NULL")
        .repartition("key")
        .sortWithinPartitions("key")
        .mapInArrow(fold_sorted, tables.STATES.columns)
    )


_Row = tuple[bytes, bytes, str, int | None, int | None, int | None, int | None]


def _rows(batch: pa.RecordBatch) -> Iterator[_Row]:
    columns = [batch[name].to_pylist() for name in ("key", "value", "topic", "epoch", "partition", "offset", "arrived_at_ms")]
    return zip(*columns, strict=True)


def _fold(key: bytes, rows: list[_Row], feedback_topic: str) -> tuple[str, bytes, bytes] | None:
    """One member's records to member_id, state bytes and fence bytes; None when not one of them can be read."""
    log: list[Any] = []
    reached: Fence = {}
    imported = 0
    for _, value, topic, epoch, partition, offset, arrived_at_ms in rows:
        decode = events.decode_feedback if topic == feedback_topic else events.decode_play
        try:
            log.append(decode(value, key, arrived_at_ms))
        except EventError:
            continue
        if epoch is None or partition is None or offset is None:
            imported += 1
        else:
            fence.advance(reached, topic, Position(epoch, partition, offset))
    if not log:
        return None
    return key.decode(), state.encode(state.fold(EMPTY, log)), fence.encode(reached | marks.imported(imported))


def install(lake: Lake, config: Config, version: int) -> int:
    """Merge a version of the states table into Redis, from the executors; how many states there changed."""
    redis_config, namespace = config.redis, config.redis.namespace
    client = store.connect(redis_config)
    with store.reachable(redis_config):
        client.ping()
    installed = lake.read(tables.STATES, version).mapInArrow(_installer(redis_config), "changed LONG")
    changed = int(installed.agg(F.coalesce(F.sum("changed"), F.lit(0))).collect()[0][0])
    with store.reachable(redis_config):
        client.set(keys.installed(namespace), version)
    return changed


def _installer(config: RedisConfig) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        client = store.connect(config)
        states = store.StateStore(client, config.namespace)
        rows = itertools.chain.from_iterable(
            zip(*(batch[name].to_pylist() for name in ("member_id", "state", "fence")), strict=True) for batch in batches
        )
        with store.reachable(config):
            changed = states.install(rows)
        yield pa.RecordBatch.from_arrays([pa.array([changed], pa.int64())], names=["changed"])

    return run


def is_installed(context: Context) -> bool:
    """Whether Redis still has what the newest states table says (it may have been emptied)."""
    config = context.config.redis
    client = store.connect(config)
    with store.reachable(config):
        version = client.get(keys.installed(config.namespace))
    return version is not None and int(version) == context.lake.version(tables.STATES)


JOB = Job(
    name="replay",
    summary="fold the log into member states and install them in Redis",
    reads=(tables.BRONZE, tables.PLAYS),
    writes=(tables.STATES,),
    work=work,
    settings=lambda config: [config.redis, config.kafka.plays_topic, config.kafka.feedback_topic],
    is_current=is_installed,
)
