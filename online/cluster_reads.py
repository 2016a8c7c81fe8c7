"""Reads of the request path from a Redis Cluster: `shared.sharding`'s client behind the interface of `online.connection`.

Imported only where a cluster is configured, since redis-py takes long to load.
"""

import asyncio
import concurrent.futures
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from online.resp import Command, ReadError, Refused, TimedOut, Unreachable
from shared import store
from shared.config import RedisConfig

THREADS = 16
"""Reads that an asyncio program has on their way at once; further ones wait for a thread, at the cost of their own time."""


class ClusterReads:
    """Commands to the nodes that serve their keys, all nodes at once. Thread-safe.

    Parameters
    ----------
    limit_s : as in `online.connection.Connections`. Half of it is each node's for a new connection, and half for its replies,
        so that a deadline of the caller's that is nearer is not kept to.
    """

    def __init__(self, config: RedisConfig, limit_s: float) -> None:
        self._client = store.connect(msgspec.structs.replace(config, timeout_s=limit_s / 2))
        # A connection that the server closed is opened anew once; a timeout is not tried again, its time is spent.
        self._client.set_retry(Retry(NoBackoff(), 1, (redis.exceptions.ConnectionError,)))
        self._is_closed = False

    def read(self, commands: Sequence[Command], deadline_s: float | None = None) -> list[Any]:
        """See `online.resp.Reads`. Nodes fail one by one: the replies of the others are had."""
        if self._is_closed:
            raise Unreachable("the connections to the Redis Cluster have been closed")
        if deadline_s is not None and deadline_s <= time.monotonic():
            raise TimedOut("the deadline has passed")
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        try:
            replies = pipeline.execute(raise_on_error=False)
        except redis.exceptions.RedisError as error:
            raise _read_error(error) from error
        return [_read_error(reply) if isinstance(reply, redis.exceptions.RedisError) else reply for reply in replies]

    def close(self) -> None:
        """See `online.resp.Reads`."""
        self._is_closed = True
        self._client.close()


class AsyncClusterReads:
    """The same for asyncio, from threads of its own.

    Parameters
    ----------
    limit_s : as in `ClusterReads`.
    """

    def __init__(self, config: RedisConfig, limit_s: float) -> None:
        self._reads = ClusterReads(config, limit_s)
        self._limit_s = limit_s
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS, thread_name_prefix="cluster-reads")

    async def read(self, commands: Sequence[Command], deadline_s: float | None = None) -> list[Any]:
        """See `online.resp.AsyncReads`. Here the caller's deadline is kept to."""
        if deadline_s is None:
            deadline_s = time.monotonic() + self._limit_s
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(loop.time() + deadline_s - time.monotonic()):
                return await loop.run_in_executor(self._threads, self._reads.read, commands, deadline_s)
        except TimeoutError:
            raise TimedOut("the Redis Cluster did not answer in time") from None

    async def close(self) -> None:
        """See `online.resp.AsyncReads`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._reads.close()


def _read_error(error: redis.exceptions.RedisError) -> ReadError:
    if isinstance(error, redis.exceptions.TimeoutError):
        return TimedOut(f"a node of Redis did not answer in time: {error}")
    if isinstance(error, redis.exceptions.ConnectionError | redis.exceptions.ClusterError):
        return Unreachable(str(error))
    return Refused(str(error))
