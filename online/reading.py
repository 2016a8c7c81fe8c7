"""How requests wait for Redis: in their thread, or in an event loop, behind one circuit breaker, up to their deadline."""

import asyncio
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from online.address import is_cluster
from online.breaker import CircuitBreaker
from online.connection import Connections
from online.resp import AsyncReads, Command, ReadError, Reads, TimedOut, Unreachable
from shared.config import Config


class Avoided(Unreachable):
    """Redis keeps failing and is not asked for a moment."""


class Overloaded(Unreachable):
    """There are more requests in hand than this process works on at once, so Redis is not asked for this one."""


class Reading:
    """Reads of requests. Thread-safe and fork-safe; one asyncio connection for each event loop that asks."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._limit_s = min(config.redis.timeout_s, config.online.deadline_ms / 1000)
        self._breaker = CircuitBreaker(config.online.breaker_failures, config.online.breaker_pause_s)
        self._reads = self._connect()
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncReads] = WeakKeyDictionary()

    def read(self, commands: Sequence[Command], deadline_s: float) -> list[Any]:
        """The replies to some commands.

        Parameters
        ----------
        deadline_s : on the monotonic clock.

        Raises
        ------
        ReadError : there are none: `Avoided`, `TimedOut` or `Unreachable`.
        """
        if not self._breaker.allow():
            raise Avoided("Redis keeps failing; for a moment it is not asked")
        try:
            replies = self._reads.read(commands, deadline_s)
        except ReadError:
            self._breaker.failed()
            raise
        self._note(replies)
        return replies

    async def read_async(self, commands: Sequence[Command], deadline_s: float) -> list[Any]:
        """The same without holding up the event loop."""
        if not self._breaker.allow():
            raise Avoided("Redis keeps failing; for a moment it is not asked")
        loop = asyncio.get_running_loop()
        reads = self._by_loop.get(loop)
        if reads is None:
            for ended in [each for each in self._by_loop if each.is_closed()]:
                del self._by_loop[ended]
            reads = self._by_loop[loop] = self._connect_async()
        try:
            replies = await reads.read(commands, deadline_s)
        except ReadError:
            self._breaker.failed()
            raise
        self._note(replies)
        return replies

    def close(self) -> None:
        """Close the connections of threads; those of an event loop end with `close_async` or with their loop."""
        self._reads.close()

    async def close_async(self) -> None:
        """Close the connection of the running event loop."""
        reads = self._by_loop.pop(asyncio.get_running_loop(), None)
        if reads is not None:
            await reads.close()

    def _note(self, replies: list[Any]) -> None:
        """In a cluster nodes fail one by one; it is away when none of them answered."""
        if replies and all(isinstance(reply, TimedOut | Unreachable) for reply in replies):
            self._breaker.failed()
        else:
            self._breaker.succeeded()

    def _connect(self) -> Reads:
        if is_cluster(self._config.redis.url):
            from online.cluster_reads import ClusterReads

            return ClusterReads(self._config.redis, self._limit_s)
        return Connections(self._config.redis, self._limit_s)

    def _connect_async(self) -> AsyncReads:
        if is_cluster(self._config.redis.url):
            from online.cluster_reads import AsyncClusterReads

            return AsyncClusterReads(self._config.redis, self._limit_s)
        from online.async_connection import AsyncConnections

        return AsyncConnections(self._config.redis, self._limit_s)
