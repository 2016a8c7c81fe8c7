"""Addresses of a Redis Cluster, and its slots. What a real one answers is tested in tests/nearline/test_redis_cluster.py."""

import pytest
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from infra.local.ports import free_port
from shared import sharding, store
from shared.config import RedisConfig
from shared.errors import ConfigError
from shared.slots import SLOTS, ranges, slots_of, spread_tags


def addresses(url: str) -> list[str]:
    return [node.name for node in sharding.parse(url)["startup_nodes"]]


def test_an_address_names_some_nodes() -> None:
    assert addresses("redis+cluster://10.0.0.1:7000,redis-2.example,[::1]:7002") == [
        "10.0.0.1:7000",
        "redis-2.example:6379",
        "::1:7002",
    ]
    options = sharding.parse("rediss+cluster://reader:s%40fe@10.0.0.1:7000,10.0.0.2/0?ssl_cert_reqs=none")
    assert (options["username"], options["password"], options["ssl"]) == ("reader", "s@fe", True)
    assert options["ssl_cert_reqs"] == "none"
    assert sharding.is_cluster_url("redis+cluster://a:1")
    assert not sharding.is_cluster_url("redis://a:1")


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://a:1,,b:2",
        "redis+cluster://a:1,redis://b:2",
        "redis+cluster://a:port",
        "redis+cluster://a:99999",
        "redis+cluster://a:1/3",
        "redis+cluster://a:1?socket_timeout=soon",
    ],
)
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[redis\] url: .* is not the address of a Redis Cluster, redis\+cluster://host:port"):
        store.connect(RedisConfig(url=url))


def test_nothing_is_sent_before_the_first_command() -> None:
    with store.connect(RedisConfig(url=f"redis+cluster://127.0.0.1:{free_port()}", timeout_s=0.5)) as client:
        with pytest.raises(RedisConnectionError):
            client.get("a")
        with pytest.raises(RedisConnectionError):
            client.pipeline(transaction=False).get("a").execute()


@pytest.mark.parametrize("count", [1, 16, 64])
def test_tags_are_spread_over_the_slots(count: int) -> None:
    tags = spread_tags(count)
    assert [slot * count // SLOTS for slot in tags.values()] == list(range(count))
    assert all(key_slot(f"a:{{{tag}}}:b".encode()) == slot for tag, slot in tags.items())


@pytest.mark.parametrize("slots", [[], [7], [0, 1, 2, 5, 9, 10], list(range(SLOTS))])
def test_slots_as_text_come_back(slots: list[int]) -> None:
    assert slots_of(ranges(slots)) == frozenset(slots)


def test_ranges_are_short() -> None:
    assert ranges([0, 1, 2, 5, 9, 10]) == "0-2,5-5,9-10"
