"""The Redis of a run: the local stack's, listening on a socket too, with a core of its own beside the client's."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer

TRANSPORTS = ("socket", "tcp")


class BenchRedis(RedisServer):
    """A Redis under `folder`, started where it is entered, on the last core that this process may use."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "redis", folder / "redis.log", free_port())
        self.socket = folder / "redis.sock"

    def command(self) -> Sequence[str]:
        return [*super().command(), "--unixsocket", str(self.socket)]

    def address(self, transport: str) -> str:
        """What clients connect to over one of `TRANSPORTS`."""
        return f"unix://{self.socket}?db=0" if transport == "socket" else self.url

    def start(self) -> None:
        super().start()
        psutil.Process(self.pid).cpu_affinity([server_core()])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()


def cores() -> list[int]:
    """The machine's cores that this process was given when it started."""
    return _CORES


def client_core() -> int:
    """Where what is measured runs."""
    return _CORES[0]


def server_core() -> int:
    """Where Redis runs; the client's too on a machine with one core."""
    return _CORES[-1]


_CORES = sorted(os.sched_getaffinity(0))
