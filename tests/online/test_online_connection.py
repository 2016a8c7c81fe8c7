"""The request path's own connections, on a real Redis and on servers that misbehave."""

import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from online.connection import MAX_IDLE, Connections
from online.resp import Refused, TimedOut, Unreachable
from shared.config import RedisConfig
from tests.online.certificate import make_certificate, server_context
from tests.online.fake_server import FakeServer
from tests.online.link import Link

LIMIT_S = 5.0


def to(port: int, limit_s: float = LIMIT_S) -> Connections:
    return Connections(RedisConfig(url=f"redis://127.0.0.1:{port}/0"), limit_s)


def echo(command: list[bytes]) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(command[1]), command[1])


def test_a_late_reply_is_never_that_of_a_later_request() -> None:
    def answer(command: list[bytes]) -> bytes:
        time.sleep(0.3 if command[1] == b"slow" else 0)
        return echo(command)

    with FakeServer(answer) as server:
        connections = to(server.port)
        assert connections.read([("GET", "first")]) == [b"first"]
        with pytest.raises(TimedOut, match=f"127.0.0.1:{server.port} did not answer in time"):
            connections.read([("GET", "slow")], time.monotonic() + 0.05)
        time.sleep(0.3)  # the late reply has come
        assert connections.read([("GET", "next")]) == [b"next"]
        assert server.connections == 2
        connections.close()


def test_half_an_answer_is_late_too() -> None:
    with FakeServer(lambda command: echo(command) if command[1] != b"half" else b"$5\r\nha") as server:
        connections = to(server.port)
        before = time.monotonic()
        with pytest.raises(TimedOut):
            connections.read([("GET", "a"), ("GET", "half")], before + 0.1)
        assert 0.1 <= time.monotonic() - before < 2
        assert connections.read([("GET", "b")]) == [b"b"]
        connections.close()


def test_bytes_that_trickle_in_do_not_lengthen_the_deadline() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        opened, _ = listener.accept()
        with opened:
            opened.recv(65536)
            for byte in b"+OK\r\n$1000\r\n" + b"x" * 1000:
                try:
                    opened.sendall(bytes([byte]))
                except OSError:
                    return
                time.sleep(0.01)

    thread = threading.Thread(target=trickle)
    thread.start()
    before = time.monotonic()
    with pytest.raises(TimedOut):
        to(listener.getsockname()[1]).read([("GET", "a")], before + 0.2)
    assert time.monotonic() - before < 2
    thread.join()
    listener.close()


def test_connecting_is_part_of_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        taken = [socket.socket() for _ in range(4)]  # fills the backlog: further ones get no answer
        for each in taken:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        before = time.monotonic()
        with pytest.raises(TimedOut):
            to(listener.getsockname()[1]).read([("GET", "a")], before + 0.1)
        assert 0.1 <= time.monotonic() - before < 2
        for each in taken:
            each.close()


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with FakeServer(echo) as server:
        connections = to(server.port)
        assert connections.read([("GET", "a")]) == [b"a"]
        with pytest.raises(TimedOut):
            connections.read([("GET", "b")], time.monotonic() - 1)
        assert [command for command in server.commands if command[0] == b"GET"] == [[b"GET", b"a"]]
        connections.close()


def test_nobody_there_is_told_at_once() -> None:
    port = free_port()
    before = time.monotonic()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be reached: .*refused"):
        to(port).read([("GET", "a")])
    assert time.monotonic() - before < 1


def test_a_connection_that_breaks_is_opened_once_more_and_no_more() -> None:
    with FakeServer(lambda command: None if command[1] == b"poison" else echo(command)) as server:
        connections = to(server.port)
        with pytest.raises(Unreachable):
            connections.read([("GET", "poison")])
        assert server.connections == 1
        assert connections.read([("GET", "a")]) == [b"a"]
        with pytest.raises(Unreachable):
            connections.read([("GET", "poison")])
        assert server.connections == 3
        connections.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+1\r\n+2\r\n"])
def test_what_is_no_redis_is_told(answer: bytes) -> None:
    with FakeServer(lambda _: answer) as server, pytest.raises(Unreachable, match="is not Redis"):
        to(server.port).read([("GET", "a")])


def test_closed_means_closed() -> None:
    with FakeServer(echo) as server:
        connections = to(server.port)
        connections.read([("GET", "a")])
        connections.close()
        with pytest.raises(Unreachable, match="have been closed"):
            connections.read([("GET", "a")])


def test_text_that_is_no_utf_8_is_the_callers_error_and_harms_nothing() -> None:
    with FakeServer(echo) as server:
        connections = to(server.port)
        with pytest.raises(UnicodeEncodeError):
            connections.read([("GET", "\ud800")])
        assert connections.read([("GET", "ü")]) == ["ü".encode()]
        connections.close()


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    def answer(command: list[bytes]) -> bytes:
        time.sleep(0.3 if command[1] == b"slow" else 0)
        return echo(command)

    with FakeServer(answer, server_context(certificate, key)) as server:
        url = f"rediss://127.0.0.1:{server.port}"
        connections = Connections(RedisConfig(url=f"{url}?ssl_ca_certs={certificate}"), LIMIT_S)
        assert connections.read([("GET", "a"), ("GET", "b" * 100_000)]) == [b"a", b"b" * 100_000]
        with pytest.raises(TimedOut):
            connections.read([("GET", "slow")], time.monotonic() + 0.05)
        assert connections.read([("GET", "c")]) == [b"c"]
        connections.close()
        with pytest.raises(Unreachable, match="certificate"):
            Connections(RedisConfig(url=url), LIMIT_S).read([("GET", "a")])


def test_neither_redis_py_nor_ssl_is_loaded() -> None:
    check = """
import sys, types
package = types.ModuleType("online")  # without what the package itself offers
package.__path__ = ["online"]
sys.modules["online"] = package
import online.breaker, online.connection
assert "online.address" in sys.modules
print([name for name in ("redis", "ssl") if name in sys.modules])
"""
    here = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True, cwd=here)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_replies_are_what_redis_has(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    large = os.urandom(3_000_000)
    client.set(f"{namespace}:large", large)
    client.hset(f"{namespace}:hash", mapping={"s": "state", "f": "fence"})
    connections = to(redis_server.port)
    for _ in range(2):  # on a new connection and on one in use
        found = connections.read(
            [
                ("GET", f"{namespace}:nothing"),
                ("HMGET", f"{namespace}:hash", "s", "none", b"f"),
                ("GET", f"{namespace}:hash"),
                ("GET", f"{namespace}:large"),
                ("STRLEN", f"{namespace}:large"),
            ]
        )
        assert isinstance(found[2], Refused) and "WRONGTYPE" in str(found[2])
        assert found[:2] + found[3:] == [None, [b"state", None, b"fence"], large, len(large)]
    connections.close()


@pytest.mark.slow
def test_a_new_connection_costs_no_round_trip(redis_server: RedisServer) -> None:
    with Link(redis_server.port) as link:
        connections = Connections(RedisConfig(url=f"redis://127.0.0.1:{link.port}/2"), LIMIT_S)
        for _ in range(3):
            (name,) = connections.read([("CLIENT", "GETNAME")])
            assert name == b"marquee-online"
        assert (link.round_trips, link.connections) == (3, 1)
        connections.close()


@pytest.mark.slow
def test_a_restart_is_not_noticed(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    connections = to(redis_server.port)
    client.set(f"{namespace}:a", "1")
    with ThreadPoolExecutor(4) as threads:  # several connections, all of which break
        start = threading.Barrier(4)

        def read() -> list[object]:
            start.wait()
            return connections.read([("GET", f"{namespace}:a")])

        assert [future.result() for future in [threads.submit(read) for _ in range(4)]] == [[b"1"]] * 4
        redis_server.stop()
        with pytest.raises(Unreachable):
            connections.read([("GET", f"{namespace}:a")])
        redis_server.start()
        assert [future.result() for future in [threads.submit(read) for _ in range(4)]] == [[b"1"]] * 4
    connections.close()


@pytest.mark.slow
def test_a_redis_that_sleeps_is_timed_out_and_read_again(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    client.set(f"{namespace}:a", "1")
    connections = to(redis_server.port)
    assert connections.read([("GET", f"{namespace}:a")]) == [b"1"]
    sleeping = threading.Thread(target=client.execute_command, args=("DEBUG", "SLEEP", "0.5"))
    sleeping.start()
    time.sleep(0.1)
    before = time.monotonic()
    with pytest.raises(TimedOut):
        connections.read([("GET", f"{namespace}:nothing")], before + 0.05)
    assert time.monotonic() - before < 2
    sleeping.join()
    assert connections.read([("GET", f"{namespace}:a")]) == [b"1"]
    connections.close()


@pytest.mark.slow
def test_threads_get_their_own_replies(redis_server: RedisServer) -> None:
    connections = to(redis_server.port)
    connections.read([("PING",)])

    def read(thread: int) -> bool:
        names = [[f"{thread}-{number}-{part}".encode() for part in range(5)] for number in range(100)]
        return all(connections.read([("ECHO", name) for name in five]) == five for five in names)

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(read, range(16)))
    (name_list,) = connections.read([("CLIENT", "LIST")])
    assert name_list.count(b"name=marquee-online") <= min(16, MAX_IDLE)
    connections.close()


@pytest.mark.slow
def test_a_forked_child_reads_on_connections_of_its_own(redis_server: RedisServer) -> None:
    connections = to(redis_server.port)
    (parent_id,) = connections.read([("CLIENT", "ID")])
    results, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            (child_id,) = connections.read([("CLIENT", "ID")])
            ok = all(connections.read([("ECHO", f"child{n}")]) == [f"child{n}".encode()] for n in range(200))
            os.write(told, b"%d %d" % (child_id, ok))
        finally:
            os._exit(0)
    assert all(connections.read([("ECHO", f"parent{n}")]) == [f"parent{n}".encode()] for n in range(200))
    os.waitpid(child, 0)
    child_id, ok = os.read(results, 100).split()
    os.close(results)
    os.close(told)
    assert ok == b"1" and int(child_id) != parent_id
    assert connections.read([("CLIENT", "ID")]) == [parent_id]  # the child's end closed nothing of the parent's
    connections.close()


@pytest.mark.slow
def test_passwords_databases_and_unix_sockets(tmp_path: Path) -> None:
    place = tmp_path / "redis.sock"
    server = SocketServer(tmp_path / "data", tmp_path / "redis.log", free_port(), password="s@cret")
    server.unix_socket = place
    server.start()
    try:
        for config in (
            RedisConfig(url=f"unix://{place}?db=3", password="s@cret"),
            RedisConfig(url=f"redis://:s%40cret@127.0.0.1:{server.port}/3"),
            RedisConfig(url=f"redis://default:s%40cret@localhost:{server.port}?db=3"),
        ):
            connections = Connections(config, LIMIT_S)
            (info,) = connections.read([("CLIENT", "LIST")])
            assert b"name=marquee-online" in info and b"db=3" in info
            connections.close()
        for url, refused in (
            (f"unix://{place}", "NOAUTH"),
            (f"redis://:wrong@127.0.0.1:{server.port}", "refused AUTH: WRONGPASS"),
            (f"redis://:s%40cret@127.0.0.1:{server.port}/99", "refused SELECT: ERR DB index"),
        ):
            connections = Connections(RedisConfig(url=url), LIMIT_S)
            if refused == "NOAUTH":
                (reply,) = connections.read([("GET", "a")])
                assert isinstance(reply, Refused) and refused in str(reply)
            else:
                with pytest.raises(Unreachable, match=refused):
                    connections.read([("GET", "a")])
            connections.close()
    finally:
        server.kill()
    with pytest.raises(Unreachable, match=str(place)):
        Connections(RedisConfig(url=f"unix://{place}"), LIMIT_S).read([("GET", "a")])


class SocketServer(RedisServer):
    """A Redis that listens on a Unix socket too."""

    unix_socket: Path

    def prepare(self) -> None:
        super().prepare()
        with self._file.open("a", encoding="utf-8") as handle:
            handle.write(f"unixsocket {self.unix_socket}\n")
