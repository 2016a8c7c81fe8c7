"""The least that a call could cost: Redis asked for the same bytes by the same commands, and nothing done with them.

Which commands those are is not written down here a second time: Redis is watched (MONITOR) while a call is made, and what came
over its connection is sent again for other members.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import hiredis
import redis

from infra.bench.online.server import BenchRedis
from shared import keys
from shared.errors import UnavailableError

ATTEMPTS = 5
RECEIVE_BYTES = 1 << 16

Command = tuple[str, ...]


def commands_of(client: redis.Redis, call: Callable[[], object], member_id: str) -> tuple[Command, ...]:
    """What a call about one member asks of Redis. What is not about the member may be cached: the call is made before, too.

    Raises
    ------
    UnavailableError : no two calls in a row asked for the same.
    """
    call()
    before: tuple[Command, ...] | None = None
    for _ in range(ATTEMPTS):
        seen = _watch(client, call)
        if seen and seen == before and any(f"{{{member_id}}}" in part for command in seen for part in command):
            return seen
        before = seen
    raise UnavailableError(f"what a call asks of Redis is another thing each time: {before}")


def _watch(client: redis.Redis, call: Callable[[], object]) -> tuple[Command, ...]:
    with client.monitor() as watching:  # type: ignore[no-untyped-call]
        call()
        client.echo("over")
        seen: list[tuple[str, Command]] = []
        for heard in watching.listen():
            command = tuple(str(heard["command"]).split(" "))
            if command == ("ECHO", "over"):
                break
            seen.append((f"{heard['client_address']}:{heard['client_port']}", command))
    about = [who for who, command in seen if any(part.endswith(":state") for part in command)]
    return tuple(command for who, command in seen if about and who == about[0])


def for_member(commands: tuple[Command, ...], member_id: str, other_id: str) -> list[Command]:
    """The same commands about another member."""
    return [tuple(part.replace(f"{{{member_id}}}", f"{{{other_id}}}") for part in command) for command in commands]


def pipelined(client: redis.Redis, commands: list[Command]) -> list[object]:
    """Ask by redis-py's pipeline."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
    replies: list[object] = pipeline.execute()
    return replies


def round_trip(client: redis.Redis, namespace: str) -> object:
    """The bare round trip that latencies are multiples of: a small read of something that is not there."""
    return client.hget(keys.state(namespace, "nobody"), "f")


class RawConnection:
    """Commands over a socket, replies parsed by hiredis: what a client cannot be faster than."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = hiredis.Reader()

    def ask(self, commands: list[Command]) -> list[object]:
        """All commands in one write; their replies."""
        self._socket.sendall(b"".join([hiredis.pack_command(cast("Any", command)) for command in commands]))
        replies: list[object] = []
        while len(replies) < len(commands):
            self._reader.feed(self._socket.recv(RECEIVE_BYTES))
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        return replies


@contextmanager
def raw(server: BenchRedis, transport: str) -> Iterator[RawConnection]:
    """A connection of this kind."""
    if transport == "socket":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(server.socket))
    else:
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        yield RawConnection(sock)


def size_of(reply: object) -> int:
    """Bytes of the values in a reply."""
    if isinstance(reply, bytes):
        return len(reply)
    return sum(size_of(part) for part in reply) if isinstance(reply, list | tuple) else 0
