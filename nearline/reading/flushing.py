"""Carries batches from the event loop to the writers' thread, and tries again while Redis fails.

The writers have one thread: the readers and the feedback agent take turns, so a writer's cache needs no locks, and Kafka's
heartbeats go on while a batch is folded.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis.exceptions

from nearline import metrics
from nearline.records import Place, Record, Source, Writer
from nearline.states.watermarks import LostWritesError, Watermarks
from nearline.watching.watchdog import Progress
from shared.errors import UnavailableError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

log = logging.getLogger(__name__)
T = TypeVar("T")


class Flusher:
    """Runs writers for coroutines.

    Parameters
    ----------
    limit_s : how long one batch may fail before the worker gives up.
    """

    def __init__(self, watermarks: Watermarks, progress: Progress, limit_s: float) -> None:
        self._watermarks = watermarks
        self._progress = progress
        self._limit_s = limit_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._is_closing = False

    async def flush(self, writer: Writer, source: Source, records: Sequence[Record]) -> dict[Place, int]:
        """Bring a batch's effect into Redis; the offsets that may be committed. See `Writer.write`.

        Raises
        ------
        LostWritesError, ConflictError : see there.
        UnavailableError : Redis or Kafka kept failing for `limit_s`.
        """
        reached = await self._persist(lambda: writer.write(source, records))
        self._progress.flushed()
        return reached

    async def resume(self, committed: dict[Place, int | None]) -> dict[Place, int]:
        """Where to start some partitions from. Raises `UnavailableError` as `flush`."""

        def look_up() -> dict[Place, int]:
            return {place: self._watermarks.resume(place, offset) for place, offset in committed.items()}

        return await self._persist(look_up)

    async def look(self) -> None:
        """Notice lost writes although no records come; a Redis that does not answer is left to the next batch.

        Raises
        ------
        LostWritesError : see `Watermarks.look`.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._watermarks.look)
        except LostWritesError:
            raise
        except (redis.exceptions.RedisError, UnavailableError) as error:
            log.info("Redis was not looked at: %s", error)

    def close(self) -> None:
        """Stop trying again; what is running may end. Nothing can be flushed afterwards."""
        self._is_closing = True
        self._thread.shutdown(wait=False)

    async def _persist(self, work: Callable[[], T]) -> T:
        deadline_s, pause_s = time.monotonic() + self._limit_s, FIRST_PAUSE_S
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
            except LostWritesError:
                raise
            except (redis.exceptions.RedisError, UnavailableError) as error:
                if self._is_closing or time.monotonic() + pause_s > deadline_s:
                    raise UnavailableError(f"gave up after trying for {self._limit_s:g} s: {error}") from error
                log.warning("flush failed, trying again in %.2f s: %s", pause_s, error)
                metrics.RETRIES.inc()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
