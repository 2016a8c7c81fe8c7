"""Trending on a real Redis Cluster: everything counted once while the slots of its shards move between the nodes."""

import threading
from pathlib import Path

import pytest
import redis.exceptions
from redis.crc import key_slot

from infra.local.redis_cluster import LocalRedisCluster
from nearline.records import Record
from nearline.trending import TrendingCounter, TrendingPublisher
from nearline.trending.shards import Shards
from shared import store
from shared.config import Config, RedisConfig, TrendingConfig
from shared.events import Impression, Play
from tests.nearline.trending_log import IMPRESSIONS, NOW_MS, PLAYS, TrendingLog, arrived, counts_in_redis

pytestmark = pytest.mark.slow

ATTEMPTS = 200


def test_counts_are_exact_while_slots_move(tmp_path: Path) -> None:
    log = TrendingLog.invented(seed=11, pages=150)
    with LocalRedisCluster(tmp_path) as cluster:
        settings = TrendingConfig(shards=3, windows=8, utc_offset_h={"US": -5.0, "IN": 5.5, "DE": 1.0})
        config = Config(redis=RedisConfig(url=cluster.url, namespace="mq"), trending=settings)
        shards, is_over, moved = Shards.of(config), threading.Event(), 0

        def move() -> None:
            nonlocal moved
            while not is_over.is_set():
                for shard in range(len(shards.prefixes)):
                    slot = int(key_slot(shards.fence(shard).encode()))
                    target = cluster.nodes[(cluster.nodes.index(cluster.owner(slot)) + 1) % len(cluster.nodes)]
                    cluster.move_slot(slot, target, keys_per_step=3, pause_s=0.005)
                    moved += 1

        with store.connect(config.redis) as client:
            counter = TrendingCounter(client, config, clock=lambda: NOW_MS)
            mover = threading.Thread(target=move)
            mover.start()
            try:
                for partition in range(log.partitions):
                    for source, found in ((PLAYS, log.plays), (IMPRESSIONS, log.pages)):
                        events = found.get(partition, [])
                        for first in range(0, len(events), 10):
                            batch = list(enumerate(events))[max(0, first - 5) : first + 10]
                            count(counter, source is PLAYS, [(arrived(at, event, partition), event) for at, event in batch])
            finally:
                is_over.set()
                mover.join()
            assert moved >= 3
            assert counts_in_redis(client, config) == log.oracle(config)
            assert TrendingPublisher(client, config).publish(NOW_MS) == 4


def count(counter: TrendingCounter, is_plays: bool, batch: list[tuple[Record, Play | Impression]]) -> None:
    """Count a batch, again and again while a slot is on its way, as the flusher does."""
    for _ in range(ATTEMPTS):
        try:
            if is_plays:
                counter.count_starts(PLAYS, batch)  # type: ignore[arg-type]
            else:
                counter.count_pages(IMPRESSIONS, batch)  # type: ignore[arg-type]
            return
        except redis.exceptions.RedisError:
            threading.Event().wait(0.02)
    raise AssertionError("the slot never came to rest")
