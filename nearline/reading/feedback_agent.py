"""Serves the feedback topic through a Faust agent, one event at a time: it is small, and its members expect to see it at once.

Faust commits by itself what was acknowledged. Three things are ours: an event is acknowledged only after its flush; a partition
starts from the lower of commit and watermark; and no record is passed over. For Faust may drop what it had fetched when a
rebalance comes at the wrong moment, and go on behind it: the next flush would then put the fence and the watermark over the
gap for good. So what lies between the last flush and an event is read again first, and what no event follows after a while.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from nearline.reading.flushing import Flusher
from nearline.reading.missed_records import read_between
from nearline.records import Arrived, Place, Source, Writer
from shared.config import KafkaConfig

Failed = Callable[[BaseException], None]
SWEEP_S = 2.0
"""What lies unread for longer than this, while nothing is flushed, Faust has dropped."""

log = logging.getLogger(__name__)


class FeedbackAgent:
    """What the agent of the feedback topic does, and where it stands.

    Parameters
    ----------
    failed : told of an error that the worker cannot go on from.
    """

    def __init__(self, config: KafkaConfig, source: Source, writer: Writer, flusher: Flusher, failed: Failed) -> None:
        self._config = config
        self._source = source
        self._writer = writer
        self._flusher = flusher
        self._failed = failed
        self._next: dict[int, int] = {}  # of each partition held, the first offset not yet flushed
        self._in_hand = asyncio.Lock()

    async def serve(self, stream: Any) -> None:
        """The agent's body: flush each event, then acknowledge it. It never goes past an event that it could not flush."""
        async for event in stream.noack().events():
            try:
                await self._take(_record(event.message))
            except Exception as error:
                self._failed(error)
                await asyncio.Event().wait()  # Faust would start the agent anew, behind this event
            event.ack()

    async def resume(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """The group has given this worker its partitions: where to start each from."""
        starts = await self._flusher.resume({Place(at.topic, at.partition): offset for at, offset in committed.items()})
        async with self._in_hand:
            self._next = {place.partition: start for place, start in starts.items()}
        return {at: starts[Place(at.topic, at.partition)] for at in committed}

    async def lag(self, app: faust.App) -> int:
        """Feedback events in this worker's partitions that are not yet in Redis."""
        behind = await self._behind(app)
        return sum(max(0, end - first) for first, end in behind.values())

    async def sweep(self, app: faust.App) -> None:
        """Flush what Faust has dropped and no event follows; until the app stops."""
        before: dict[int, tuple[int, int]] = {}
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                behind = await self._behind(app)
                for partition, (first, _) in before.items():
                    if behind.get(partition, (first + 1, 0))[0] == first:
                        await self._flush_missed(partition, before[partition][1])
                before = {partition: (first, end) for partition, (first, end) in behind.items() if first < end}
            except (KafkaError, TimeoutError, AssertionError) as error:
                log.info("feedback was not looked over: %r", error)
            except Exception as error:
                return self._failed(error)

    async def _behind(self, app: faust.App) -> dict[int, tuple[int, int]]:
        """Of each partition held the first offset not flushed, and the end."""
        held = [TP(self._source.topic, partition) for partition in self._next]
        if not held:
            return {}
        ends = await app.consumer.highwaters(*held)
        return {at.partition: (self._next[at.partition], ends[at]) for at in held if at.partition in self._next}

    async def _take(self, record: Arrived) -> None:
        async with self._in_hand:
            first = self._next.get(record.partition)
            if first is None:
                return  # fetched before the partition went elsewhere
            if first < record.offset:
                await self._catch_up(record.partition, first, record.offset)
            await self._flusher.flush(self._writer, self._source, [record])
            self._next[record.partition] = max(record.offset + 1, self._next[record.partition])

    async def _flush_missed(self, partition: int, end: int) -> None:
        async with self._in_hand:
            first = self._next.get(partition, end)
            if first < end:
                await self._catch_up(partition, first, end)

    async def _catch_up(self, partition: int, first: int, end: int) -> None:
        missed = await read_between(self._config, Place(self._source.topic, partition), first, end)
        if missed:
            log.info("read %d records of %s/%d again, from %d on", len(missed), self._source.topic, partition, first)
            await self._flusher.flush(self._writer, self._source, missed)
        self._next[partition] = end


def _record(message: Any) -> Arrived:
    """Faust's message, which has its time in seconds."""
    arrived_at_ms = None if message.timestamp is None else round(message.timestamp * 1000)
    return Arrived(message.partition, message.offset, arrived_at_ms, message.key, message.value)


def resuming_transport(
    app: faust.App, resume: Callable[[Mapping[TP, int | None]], Awaitable[dict[TP, int]]], failed: Failed
) -> Any:
    """Faust's Kafka transport, with a consumer that starts from where `resume` says."""

    class Consumer(driver.Consumer):
        async def seek_to_committed(self) -> Mapping[TP, int]:
            committed: Mapping[TP, int | None] = await super().seek_to_committed()
            try:
                starts = await resume(committed)
            except Exception as error:
                failed(error)
                raise
            for at, offset in committed.items():
                if starts[at] != (offset or 0):
                    await self._seek(at, starts[at])
            return starts

    class Transport(driver.Transport):
        pass

    Transport.Consumer = Consumer
    return Transport(app.conf.broker_consumer, app)
