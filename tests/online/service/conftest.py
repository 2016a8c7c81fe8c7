"""The application in this process on a real Redis, or on none."""

import time
from collections.abc import Iterator

import pytest
import redis
from starlette.testclient import TestClient

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from online.service.app import create_app
from shared.config import Config, ExplorationSettings, KafkaConfig, OnlineConfig, RedisConfig, ServeConfig
from tests.online.plays import play, thumb, write_events
from tests.online.snapshot_builder import build_snapshot, write_snapshot

EVIL = "<script>alert('x')</script>/..?&#%"
"""A member id that breaks whatever does not escape it."""


def now_ms() -> int:
    """This moment, which the server takes too."""
    return time.time_ns() // 1_000_000


def config_on(redis_url: str, namespace: str = "mq", **serve: int) -> Config:
    """A configuration without Kafka: what is sent there waits in its buffer, and is dropped at the end."""
    return Config(
        redis=RedisConfig(url=redis_url, namespace=namespace, timeout_s=0.5),
        kafka=KafkaConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", timeout_s=0.2),
        online=OnlineConfig(log_impressions=False),
        exploration=ExplorationSettings(kind="none"),  # a page changes for no other reason than what the member did
        serve=ServeConfig(**serve),
    )


@pytest.fixture
def lonely() -> Iterator[TestClient]:
    """The application without a Redis: nothing to answer from."""
    app = create_app(config_on(f"redis://127.0.0.1:{free_port()}/0", feedback_buffer=2))
    with TestClient(app, raise_server_exceptions=False) as asking:
        yield asking


@pytest.fixture
def asking(redis_server: RedisServer, client: redis.Redis, namespace: str) -> Iterator[TestClient]:
    """The application on a snapshot in which `m1` and `EVIL` have watched something."""
    write_snapshot(client, namespace, "v1", build_snapshot(members=8))
    at_ms = now_ms() - 60_000
    for member in ("m1", EVIL):
        begun, disliked = play("t2", 0.4, at_ms=at_ms, member_id=member), thumb("t7", False, at_ms=at_ms, member_id=member)
        write_events(client, namespace, member, begun, disliked)
    app = create_app(config_on(redis_server.url, namespace, body_bytes=2000))
    with TestClient(app, raise_server_exceptions=False) as asking:
        yield asking
