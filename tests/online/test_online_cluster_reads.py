"""Reads of requests from a real Redis Cluster: nodes fail one by one, and what fails is what a single Redis' failure is."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from infra.local.redis_cluster import LocalRedisCluster
from online.cluster_reads import AsyncClusterReads, ClusterReads
from online.resp import Refused, TimedOut, Unreachable
from shared import store
from shared.config import RedisConfig

pytestmark = pytest.mark.slow

KEYS = [f"key-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedisCluster]:
    with LocalRedisCluster(tmp_path_factory.mktemp("online-cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def config(cluster: LocalRedisCluster) -> RedisConfig:
    config = RedisConfig(url=cluster.url)
    client = store.connect(config)
    for key in KEYS:
        client.set(key, f"value of {key}")
    client.close()
    return config


def test_replies_come_in_the_order_of_the_commands(config: RedisConfig) -> None:
    reads = ClusterReads(config, 5.0)
    found = reads.read([*[("GET", key) for key in KEYS], (b"HGET", KEYS[0], "field"), ("GET", "nothing")])
    assert found[:12] == [f"value of {key}".encode() for key in KEYS]
    assert isinstance(found[12], Refused) and "WRONGTYPE" in str(found[12])
    assert found[13] is None
    with pytest.raises(TimedOut):
        reads.read([("GET", KEYS[0])], time.monotonic() - 1)
    reads.close()
    with pytest.raises(Unreachable, match="have been closed"):
        reads.read([("GET", KEYS[0])])


def test_a_node_that_is_away_costs_only_what_it_keeps(config: RedisConfig, cluster: LocalRedisCluster) -> None:
    reads = ClusterReads(config, 2.0)
    commands = [("GET", key) for key in KEYS]
    reads.read(commands)
    cluster.nodes[1].kill()
    try:
        found = reads.read(commands)
        lost = [isinstance(reply, Unreachable | TimedOut) for reply in found]
        assert 0 < sum(lost) < len(KEYS)
        assert all(gone or reply == f"value of {key}".encode() for gone, reply, key in zip(lost, found, KEYS, strict=True))
    finally:
        cluster.nodes[1].start()
        cluster.wait_agreed()
    reads.close()


def test_asyncio_reads_in_threads(config: RedisConfig) -> None:
    async def use() -> None:
        reads = AsyncClusterReads(config, 5.0)
        found = await asyncio.gather(*(reads.read([("GET", key), ("GET", "nothing")]) for key in KEYS))
        assert found == [[f"value of {key}".encode(), None] for key in KEYS]
        with pytest.raises(TimedOut):
            await reads.read([("GET", KEYS[0])], time.monotonic() - 1)
        await reads.close()

    asyncio.run(use())
