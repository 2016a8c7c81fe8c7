"""The section about Spark: the replay's fold over the very records that a worker has handled, compared member by member."""

import os
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import psutil
from pyspark.sql import functions as F

from infra.bench.nearline.stage import Run, Stage
from infra.bench.nearline.workload import Workload
from infra.bench.report import Row
from offline import replay
from shared import store, tables, topics
from shared.config import Config
from shared.lake import Lake, usable
from shared.store import StateStore

CORES = 2
RATIO = 3.0
FOLDS = 2
"""The first one also pays for Spark's own warming up."""


def measure(stage: Stage, workload: Workload) -> list[Row]:
    """Land the topic in a bronze table, fold it with the replay's own code, and compare with what the worker wrote."""
    run = stage.run(workload)
    worker = stage.work(run, workload.events).span()
    config = _spark_config(run)
    began_s = time.perf_counter()
    lake = Lake.open(config, "bench")
    session_s = time.perf_counter() - began_s
    try:
        with usable("the replay of the benchmark"):
            landed_s = _land(lake, config)
            folds = [_fold(lake, config) for _ in range(FOLDS)]
            rows = lake.read(tables.STATES).select("member_id", "state").collect()
    finally:
        lake.spark.stop()
    members = [str(row["member_id"]) for row in rows]
    differ = _differing(config, members, [bytes(row["state"]) for row in rows])
    in_redis = _states_in_redis(config)
    stage.forget()
    cold, warm = (workload.events / wall_s for wall_s, _ in (folds[0], folds[-1]))
    per_cpu_s = workload.events / folds[-1][1]
    ratio = warm / worker.per_s
    values = {"cold_per_s": cold, "warm_per_s": warm, "worker_per_s": worker.per_s, "session_s": session_s, "landing_s": landed_s}
    cores = min(CORES, os.cpu_count() or 1)
    return [
        Row(
            "Spark replay, byte-identical states",
            f"{len(members) - differ:,} of {max(len(members), in_redis):,} members",
            "every member",
            differ == 0 and len(members) == in_redis,
            {"members": len(members), "differ": differ, "in_redis": in_redis},
        ),
        Row(
            f"  rate on {cores} cores",
            f"{warm:,.0f} events/s (first time {cold:,.0f}; beside it: session {session_s:.1f} s, landing {landed_s:.1f} s)",
            values=values,
        ),
        Row(
            "  by CPU time",
            f"{per_cpu_s:,.0f} events/CPU-s of all Spark's processes; the worker's own {worker.per_cpu_s:,.0f}",
            values={"per_cpu_s": per_cpu_s, "worker_per_cpu_s": worker.per_cpu_s},
        ),
        Row(
            "  ÷ one worker's by the wall clock",
            f"{ratio:.2f} × of {worker.per_s:,.0f} events/s",
            f"≥ {RATIO:g} ×",
            ratio >= RATIO,
        ),
    ]


def _spark_config(run: Run) -> Config:
    spark = msgspec.structs.replace(run.config.spark, master=f"local[{CORES}]", shuffle_partitions=2 * CORES)
    return msgspec.structs.replace(run.config, spark=spark)


def _land(lake: Lake, config: Config) -> float:
    """Bring the plays topic into the bronze table as ingest does; seconds."""
    name = config.kafka.plays_topic
    with store.connect(config.redis) as client, store.reachable(config.redis):
        epoch = topics.epochs(client, config.redis.namespace, config.kafka, [name])[name]
    began_s = time.perf_counter()
    records = (
        lake.spark.read.format("kafka")
        .option("kafka.bootstrap.servers", config.kafka.bootstrap_servers)
        .option("subscribe", name)
        .option("startingOffsets", "earliest")
        .load()
        .withColumn("epoch", F.lit(epoch))
        .withColumn("arrived_at_ms", F.unix_millis("timestamp"))
    )
    lake.append(records, tables.BRONZE)
    return time.perf_counter() - began_s


def _fold(lake: Lake, config: Config) -> tuple[float, float]:
    """Fold the bronze table into the states table; seconds of wall clock, and of CPU in Spark's processes."""
    began_s, cpu_s = time.perf_counter(), _cpu_s(lake)
    lake.overwrite(replay.states(replay.log(lake, config), config), tables.STATES)
    return time.perf_counter() - began_s, _cpu_s(lake) - cpu_s


def _cpu_s(lake: Lake) -> float:
    """CPU time of Spark's JVM and of the Python workers that it keeps."""
    gateway: Any = lake.spark.sparkContext._gateway
    java = psutil.Process(gateway.proc.pid)
    used = [process.cpu_times() for process in (java, *java.children(recursive=True))]
    return sum(times.user + times.system for times in used)


def _differing(config: Config, members: Sequence[str], blobs: Sequence[bytes]) -> int:
    """How many of these states are not, byte for byte, what Redis has."""
    differ = 0
    with store.connect(config.redis) as client, store.reachable(config.redis):
        states = StateStore(client, config.redis.namespace)
        for start in range(0, len(members), 1000):
            there = states.read(members[start : start + 1000])
            differ += sum(found.state != blob for found, blob in zip(there, blobs[start : start + 1000], strict=True))
    return differ


def _states_in_redis(config: Config) -> int:
    with store.connect(config.redis) as client, store.reachable(config.redis):
        return sum(1 for _ in client.scan_iter(match=f"{config.redis.namespace}:*:state", count=1000))
