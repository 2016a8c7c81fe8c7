"""A real Redis of the online tests' own, which they may kill, and a connection to it."""

import uuid
from collections.abc import Iterator

import pytest
import redis

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from shared.config import RedisConfig
from shared.store import connect


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis. A test that stops it starts it again."""
    folder = tmp_path_factory.mktemp("online-redis")
    server = RedisServer(folder, folder / "redis.log", free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A connection for what a test writes."""
    client = connect(RedisConfig(url=redis_server.url))
    yield client
    client.close()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"
