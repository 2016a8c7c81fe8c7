"""Redis or Kafka out of reach, silent or full: a job says so before Spark starts, and a page is answered all the same."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from shared import state, store
from shared.config import RedisConfig
from shared.errors import UnavailableError
from shared.pages.answers import Page
from tests.bad_input.command import files, run
from tests.online.snapshot_builder import build_snapshot, write_snapshot

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    folder = tmp_path_factory.mktemp("redis")
    server = RedisServer(folder, folder / "redis.log", free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def settings(folder: Path, redis_url: str, kafka_port: int) -> None:
    (folder / "marquee.toml").write_text(
        f'[redis]\nurl = "{redis_url}"\ntimeout_s = 1.0\n[kafka]\nbootstrap_servers = "127.0.0.1:{kafka_port}"\ntimeout_s = 2.0\n'
    )


@pytest.mark.parametrize("job", ["replay", "nightly", "rollback"])
def test_redis_that_is_not_there(tmp_path: Path, job: str) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    settings(tmp_path, url, free_port())
    assert run(tmp_path, "offline", job).sentence.startswith(f"Redis at {url} did not answer within 1 s: Error 111 connecting")
    assert files(tmp_path) == {tmp_path / "marquee.toml"}


def test_redis_that_never_answers(tmp_path: Path, silent_port: int) -> None:
    url = f"redis://127.0.0.1:{silent_port}/0"
    settings(tmp_path, url, free_port())
    for command in (("offline", "nightly"), ("nearline", "worker")):
        assert run(tmp_path, *command).sentence == f"Redis at {url} did not answer within 1 s: Timeout reading from socket"


def test_kafka_that_is_not_there(tmp_path: Path, redis_server: RedisServer) -> None:
    port = free_port()
    settings(tmp_path, redis_server.url, port)
    assert run(tmp_path, "offline", "ingest").sentence.startswith(f"Kafka at 127.0.0.1:{port} did not answer within 2 s: ")
    assert files(tmp_path) == {tmp_path / "marquee.toml"}


def test_kafka_that_never_answers(tmp_path: Path, redis_server: RedisServer, silent_port: int) -> None:
    settings(tmp_path, redis_server.url, silent_port)
    for command in (("offline", "nightly"), ("nearline", "worker")):
        sentence = run(tmp_path, *command).sentence
        assert sentence.startswith(f"Kafka at 127.0.0.1:{silent_port} did not answer within 2 s: ")


def test_a_redis_address_that_is_none(tmp_path: Path) -> None:
    settings(tmp_path, "localhost:6379", free_port())
    for command in (("offline", "publish"), ("nearline", "worker"), ("online", "page", "m1")):
        assert run(tmp_path, *command).sentence.startswith("[redis] url: 'localhost:6379' is not a Redis address (")


def test_a_page_without_redis_is_answered_and_says_why(tmp_path: Path, silent_port: int) -> None:
    for port, told in ((free_port(), "! redis-unreachable: "), (silent_port, "! redis-slow: ")):
        settings(tmp_path, f"redis://127.0.0.1:{port}/0", free_port())
        ended = run(tmp_path, "online", "--log-level", "error", "page", "m1")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith("Page for m1 ") and told in ended.out


def test_redis_without_memory_refuses_in_one_sentence(redis_server: RedisServer) -> None:
    config = RedisConfig(url=redis_server.url)
    with store.connect(config) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(UnavailableError, match=f"^Redis at {config.url} refuses to write: OOM "), store.reachable(config):
                store.StateStore(client, "mq").install([("m1", state.encode(state.EMPTY), b"")])
        finally:
            client.config_set("maxmemory", 0)


def test_a_member_nobody_has_heard_of_gets_a_good_page(tmp_path: Path, redis_server: RedisServer) -> None:
    settings(tmp_path, redis_server.url, free_port())
    with store.connect(RedisConfig(url=redis_server.url)) as client:
        write_snapshot(client, "mq", "v1", build_snapshot())
    ended = run(tmp_path, "online", "page", "ünheard of/{}'", "--json")
    assert (ended.code, ended.err) == (0, "")
    page = msgspec.json.decode(ended.out, type=Page)
    assert page.member_id == "ünheard of/{}'"
    assert (page.snapshot, [fallback.code for fallback in page.fallbacks]) == ("v1", ["no-candidates"])
    assert page.tier == "popular" and len(page.rows) > 3
    assert all(len(row.cells) >= 5 and len({cell.title_id for cell in row.cells}) == len(row.cells) for row in page.rows)
