"""Folds the whole log into member states, through the reducer that the nearline worker uses, and installs them in Redis.

The log is bronze (records as they came, decoded as the worker decodes them) and the imported history. Each part of it is
folded where it is read, and only the states are brought together by member (`offline.partial_states`); they are installed
from where that was. Installing merges: a state in Redis that is newer than the log loses nothing.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from offline.erased import without_erased_history, without_erased_records
from offline.jobs import Context, Job
from offline.partial_states import LIMITS, PLAY_COLUMNS, RECORD_COLUMNS, Decode, Limits, fold_plays, fold_records, merge
from shared import events, keys, store, tables
from shared.config import Config, RedisConfig
from shared.lake import ArrowFunction, Lake

IMPORTED = "import"
"""`source` of the plays that came from files."""


def work(context: Context) -> dict[str, str]:
    """Fold, write the states table, install in Redis."""
    config, lake = context.config, context.lake
    version = lake.overwrite(states(log(lake, config), config), tables.STATES)
    return {"members": str(lake.read(tables.STATES, version).count()), "installed": str(install(lake, config, version))}


class Log(NamedTuple):
    """All that ever happened.

    Attributes
    ----------
    records : of plays and feedback, as they came: topic, epoch, partition, offset, arrived_at_ms, key, value.
    imported : history from files, which has no place in a topic: the columns of `silver/plays`.
    """

    records: DataFrame
    imported: DataFrame


def log(lake: Lake, config: Config) -> Log:
    """Every play and feedback in the lake but those of erased members."""
    topics = [config.kafka.plays_topic, config.kafka.feedback_topic]
    records = lake.read(tables.BRONZE).where(F.col("topic").isin(topics))
    imported = lake.read(tables.PLAYS).where(F.col("source") == IMPORTED)
    return Log(without_erased_records(lake, records), without_erased_history(lake, imported))


def states(log: Log, config: Config, limits: Limits = LIMITS) -> DataFrame:
    """Fold a log into one state a member; records that cannot be read are left out, as the worker leaves them out."""
    kafka, columns = config.kafka, tables.STATES.columns

    def folded(topic: str, decode: Decode) -> DataFrame:
        records = log.records.where(F.col("topic") == topic).where("key IS NOT NULL AND value IS NOT NULL")
        return records.select(*RECORD_COLUMNS).mapInArrow(fold_records(topic, decode, limits), columns)

    plays = folded(kafka.plays_topic, events.decode_play)
    feedback = folded(kafka.feedback_topic, events.decode_feedback)
    imported = log.imported.select(*PLAY_COLUMNS).mapInArrow(fold_plays(limits), columns)
    partial = plays.unionByName(feedback).unionByName(imported)
    return partial.repartition("member_id").sortWithinPartitions("member_id").mapInArrow(merge, columns)


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
    reads=(tables.BRONZE, tables.PLAYS, tables.ERASED),
    writes=(tables.STATES,),
    work=work,
    settings=lambda config: [config.redis, config.kafka.plays_topic, config.kafka.feedback_topic],
    is_current=is_installed,
)
