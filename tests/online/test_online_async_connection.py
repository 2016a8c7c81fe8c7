"""The request path's connection for asyncio, on a real Redis and on servers that misbehave."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from online.async_connection import AsyncConnections
from online.resp import Refused, TimedOut, Unreachable
from shared.config import RedisConfig
from tests.online.certificate import make_certificate, server_context
from tests.online.fake_server import FakeServer
from tests.online.link import Link

LIMIT_S = 5.0

Use = Callable[[AsyncConnections], Awaitable[None]]


def run(port: int, use: Use, limit_s: float = LIMIT_S) -> None:
    """Let a coroutine use a connection to a port, in an event loop of its own."""

    async def whole() -> None:
        connections = AsyncConnections(RedisConfig(url=f"redis://127.0.0.1:{port}/0"), limit_s)
        try:
            await use(connections)
        finally:
            await connections.close()

    asyncio.run(whole())


def echo(command: list[bytes]) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(command[1]), command[1])


def slow_echo(command: list[bytes]) -> bytes:
    time.sleep(0.2 if command[1] == b"slow" else 0)
    return echo(command)


def test_cancelled_callers_leave_the_others_their_own_replies() -> None:
    async def use(connections: AsyncConnections) -> None:
        assert await connections.read([("GET", "first")]) == [b"first"]
        cancelled = [asyncio.create_task(connections.read([("GET", "slow"), ("GET", f"c{n}")])) for n in range(2)]
        kept = [asyncio.create_task(connections.read([("GET", f"a{n}"), ("GET", f"b{n}")])) for n in range(5)]
        await asyncio.sleep(0.05)
        for task in cancelled:
            task.cancel()
        assert await asyncio.gather(*kept) == [[f"a{n}".encode(), f"b{n}".encode()] for n in range(5)]
        assert all(task.cancelled() for task in cancelled)

    with FakeServer(slow_echo) as server:
        run(server.port, use)
        assert server.connections == 1


def test_a_late_reply_is_never_that_of_a_later_request() -> None:
    async def use(connections: AsyncConnections) -> None:
        for _ in range(2):
            with pytest.raises(TimedOut, match=r"127.0.0.1:.* did not answer in time"):
                await connections.read([("GET", "slow")], time.monotonic() + 0.05)
            assert await connections.read([("GET", "next")]) == [b"next"]
            await asyncio.sleep(0.2)  # the late reply has come
            assert await connections.read([("GET", "later")]) == [b"later"]

    with FakeServer(slow_echo) as server:
        run(server.port, use)


def test_who_is_slow_but_answers_is_not_left() -> None:
    async def use(connections: AsyncConnections) -> None:
        await connections.read([("GET", "first")])
        before = asyncio.create_task(connections.read([("GET", "slow")]))
        await asyncio.sleep(0.25)
        # The reply to `before` comes in this one's time, so that Redis is known to be there.
        with pytest.raises(TimedOut):
            await connections.read([("GET", "slow")], time.monotonic() + 0.4)
        assert await before == [b"slow"]
        assert await connections.read([("GET", "next")]) == [b"next"]

    def answer(command: list[bytes]) -> bytes:
        time.sleep(0.5 if command[1] == b"slow" else 0)
        return echo(command)

    with FakeServer(answer) as server:
        run(server.port, use)
        assert server.connections == 1


def test_who_falls_silent_is_left_and_the_others_asked_anew() -> None:
    async def use(connections: AsyncConnections) -> None:
        assert await connections.read([("GET", "first")]) == [b"first"]
        short = asyncio.create_task(connections.read([("GET", "silence")], time.monotonic() + 0.1))
        long = asyncio.create_task(connections.read([("GET", "a")]))
        with pytest.raises(TimedOut):
            await short
        assert await long == [b"a"]

    def answer(command: list[bytes]) -> bytes:
        time.sleep(3 if command[1] == b"silence" else 0)
        return echo(command)

    with FakeServer(answer) as server:
        run(server.port, use)
        assert server.connections == 2


def test_silence_is_noticed_though_every_caller_was_cancelled() -> None:
    async def use(connections: AsyncConnections) -> None:
        assert await connections.read([("GET", "first")]) == [b"first"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connections.read([("GET", "silence")], time.monotonic() + 0.1), 0.02)
        await asyncio.sleep(0.15)
        assert await connections.read([("GET", "a")], time.monotonic() + 2) == [b"a"]

    def answer(command: list[bytes]) -> bytes:
        time.sleep(3 if command[1] == b"silence" else 0)
        return echo(command)

    with FakeServer(answer) as server:
        run(server.port, use)


def test_connecting_is_part_of_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        taken = [socket.socket() for _ in range(4)]  # fills the backlog: further ones get no answer
        for each in taken:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())

        async def use(connections: AsyncConnections) -> None:
            for limit_s in (0.1, None):  # the caller's limit, and the usual one
                before = time.monotonic()
                with pytest.raises(TimedOut):
                    await connections.read([("GET", "a")], None if limit_s is None else before + limit_s)
                assert time.monotonic() - before < 2

        run(listener.getsockname()[1], use, limit_s=0.3)
        for each in taken:
            each.close()


def test_the_first_callers_cancellation_leaves_the_others_their_connection() -> None:
    async def use(connections: AsyncConnections) -> None:
        first = asyncio.create_task(connections.read([("GET", "a")]))
        second = asyncio.create_task(connections.read([("GET", "b")]))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == [b"b"]

    with FakeServer(echo) as server:
        run(server.port, use)
        assert server.connections == 1


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    async def use(connections: AsyncConnections) -> None:
        await connections.read([("GET", "a")])
        with pytest.raises(TimedOut):
            await connections.read([("GET", "b")], time.monotonic() - 1)
        await connections.read([("GET", "c")])

    with FakeServer(echo) as server:
        run(server.port, use)
        assert [command[1] for command in server.commands if command[0] == b"GET"] == [b"a", b"c"]


def test_nobody_there_and_what_is_no_redis_are_told() -> None:
    async def nobody(connections: AsyncConnections) -> None:
        found = await asyncio.gather(*(connections.read([("GET", "a")]) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(error, Unreachable) and "cannot be reached" in str(error) for error in found)

    async def no_redis(connections: AsyncConnections) -> None:
        with pytest.raises(Unreachable, match="is not Redis"):
            await connections.read([("GET", "a")])

    run(free_port(), nobody)
    with FakeServer(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        run(server.port, no_redis)


def test_a_connection_that_answered_more_than_it_was_asked_is_left() -> None:
    async def use(connections: AsyncConnections) -> None:
        for _ in range(2):
            assert await connections.read([("GET", "a")]) == [b"1"]
            await asyncio.sleep(0.05)

    with FakeServer(lambda _: b"+1\r\n+2\r\n+3\r\n") as server:
        run(server.port, use)
        assert server.connections == 2


def test_a_connection_that_breaks_is_opened_once_more_and_no_more() -> None:
    async def use(connections: AsyncConnections) -> None:
        with pytest.raises(Unreachable, match="closed the connection"):
            await connections.read([("GET", "poison")])
        assert await connections.read([("GET", "a")]) == [b"a"]
        with pytest.raises(Unreachable):
            await connections.read([("GET", "poison")])

    with FakeServer(lambda command: None if command[1] == b"poison" else echo(command)) as server:
        run(server.port, use)
        assert server.connections == 3


def test_closing_tells_who_waits() -> None:
    async def use(connections: AsyncConnections) -> None:
        await connections.read([("GET", "a")])
        waiting = asyncio.create_task(connections.read([("GET", "slow")]))
        await asyncio.sleep(0.05)
        await connections.close()
        for read in (waiting, connections.read([("GET", "a")])):
            with pytest.raises(Unreachable, match="has been closed"):
                await read

    with FakeServer(slow_echo) as server:
        run(server.port, use)


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    async def use() -> None:
        url = f"rediss://127.0.0.1:{server.port}"
        connections = AsyncConnections(RedisConfig(url=f"{url}?ssl_ca_certs={certificate}"), LIMIT_S)
        assert await connections.read([("GET", "a"), ("GET", "b" * 100_000)]) == [b"a", b"b" * 100_000]
        await connections.close()
        connections = AsyncConnections(RedisConfig(url=url), LIMIT_S)
        with pytest.raises(Unreachable, match="certificate"):
            await connections.read([("GET", "a")])
        await connections.close()

    with FakeServer(echo, server_context(certificate, key)) as server:
        asyncio.run(use())


@pytest.mark.slow
def test_replies_are_what_redis_has(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    large = os.urandom(3_000_000)
    client.set(f"{namespace}:large", large)
    client.hset(f"{namespace}:hash", mapping={"s": "state"})
    commands = [("GET", f"{namespace}:no"), ("HMGET", f"{namespace}:hash", "s", "f"), ("GET", f"{namespace}:hash")]

    async def use(connections: AsyncConnections) -> None:
        found = await asyncio.gather(*(connections.read([*commands, ("GET", f"{namespace}:large")]) for _ in range(4)))
        for replies in found:
            assert isinstance(replies[2], Refused) and "WRONGTYPE" in str(replies[2])
            assert replies[:2] + replies[3:] == [None, [b"state", None], large]

    run(redis_server.port, use)


@pytest.mark.slow
def test_many_callers_share_a_connection_and_get_their_own_replies(redis_server: RedisServer) -> None:
    async def caller(connections: AsyncConnections, number: int) -> None:
        for turn in range(50):
            names = [f"{number}-{turn}-{part}".encode() for part in range(3)]
            limit_s = 0.001 if (number + turn) % 7 == 0 else LIMIT_S  # some run out of time in between
            try:
                async with asyncio.timeout(limit_s if turn % 2 else None):
                    assert await connections.read([("ECHO", name) for name in names], time.monotonic() + limit_s) == names
            except (TimedOut, TimeoutError):
                assert limit_s < LIMIT_S

    async def use(connections: AsyncConnections) -> None:
        await asyncio.gather(*(caller(connections, number) for number in range(40)))

    run(redis_server.port, use)


@pytest.mark.slow
def test_a_new_connection_costs_no_round_trip(redis_server: RedisServer) -> None:
    async def use(connections: AsyncConnections) -> None:
        for _ in range(3):
            assert await connections.read([("CLIENT", "GETNAME")]) == [b"marquee-online"]

    with Link(redis_server.port) as link:
        run(link.port, use)
        assert (link.round_trips, link.connections) == (3, 1)


@pytest.mark.slow
def test_a_restart_is_not_noticed(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    client.set(f"{namespace}:a", "1")

    async def use(connections: AsyncConnections) -> None:
        assert await connections.read([("GET", f"{namespace}:a")]) == [b"1"]
        redis_server.stop()  # holds the loop up, so that it knows of nothing when the next request comes
        redis_server.start()
        reads = (connections.read([("GET", f"{namespace}:a")]) for _ in range(8))
        assert await asyncio.gather(*reads) == [[b"1"]] * 8
        await asyncio.to_thread(redis_server.stop)
        with pytest.raises(Unreachable):
            await connections.read([("GET", f"{namespace}:a")])
        await asyncio.to_thread(redis_server.start)
        assert await connections.read([("GET", f"{namespace}:a")]) == [b"1"]

    run(redis_server.port, use)


@pytest.mark.slow
def test_a_redis_that_sleeps_is_timed_out_and_read_again(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    client.set(f"{namespace}:a", "1")

    async def use(connections: AsyncConnections) -> None:
        assert await connections.read([("GET", f"{namespace}:a")]) == [b"1"]
        sleeping = threading.Thread(target=client.execute_command, args=("DEBUG", "SLEEP", "0.5"))
        sleeping.start()
        await asyncio.sleep(0.1)
        before = time.monotonic()
        with pytest.raises(TimedOut):
            await connections.read([("GET", f"{namespace}:nothing")], before + 0.05)
        assert time.monotonic() - before < 2
        assert await connections.read([("GET", f"{namespace}:a")]) == [b"1"]
        sleeping.join()

    run(redis_server.port, use)


@pytest.mark.slow
def test_a_refused_password_is_told(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "data", tmp_path / "redis.log", free_port(), password="secret")
    server.start()

    async def use(connections: AsyncConnections) -> None:
        (reply,) = await connections.read([("GET", "a")])
        assert isinstance(reply, Refused) and "NOAUTH" in str(reply)

    async def wrong() -> None:
        connections = AsyncConnections(RedisConfig(url=f"redis://:wrong@127.0.0.1:{server.port}"), LIMIT_S)
        with pytest.raises(Unreachable, match="refused AUTH: WRONGPASS"):
            await connections.read([("GET", "a")])
        await connections.close()
        connections = AsyncConnections(RedisConfig(url=f"redis://:secret@127.0.0.1:{server.port}/2"), LIMIT_S)
        assert await connections.read([("GET", "a")]) == [None]
        await connections.close()

    try:
        run(server.port, use)
        asyncio.run(wrong())
    finally:
        server.kill()
