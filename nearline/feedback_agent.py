"""Serves the feedback topic through a Faust agent, one event at a time: it is small, and its members expect to see it at once.

Faust commits by itself what was acknowledged. Two things are ours: an event is acknowledged only after its flush, and a
partition starts from the lower of commit and watermark.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from nearline.flushing import Flusher
from nearline.records import Arrived, Place, Source, Writer

Failed = Callable[[BaseException], None]
Resume = Callable[[dict[Place, int | None]], Awaitable[dict[Place, int]]]


async def serve(stream: Any, source: Source, writer: Writer, flusher: Flusher, failed: Failed) -> None:
    """The agent's body: flush each event, then acknowledge it. It never goes past an event that it could not flush."""
    async for event in stream.noack().events():
        try:
            await flusher.flush(writer, source, [_record(event.message)])
        except Exception as error:
            failed(error)
            await asyncio.Event().wait()  # Faust would start the agent anew, behind this event
        event.ack()


def _record(message: Any) -> Arrived:
    """Faust's message, which has its time in seconds."""
    arrived_at_ms = None if message.timestamp is None else round(message.timestamp * 1000)
    return Arrived(message.partition, message.offset, arrived_at_ms, message.key, message.value)


def resuming_transport(app: faust.App, resume: Resume, failed: Failed) -> Any:
    """Faust's Kafka transport, with a consumer that starts from where `resume` says."""

    class Consumer(driver.Consumer):
        async def seek_to_committed(self) -> Mapping[TP, int]:
            committed: Mapping[TP, int | None] = await super().seek_to_committed()
            places = {Place(at.topic, at.partition): offset for at, offset in committed.items()}
            try:
                starts = await resume(places)
            except Exception as error:
                failed(error)
                raise
            placed: dict[TP, int] = {}
            for at, offset in committed.items():
                start = starts[Place(at.topic, at.partition)]
                if start != (offset or 0):
                    await self._seek(at, start)
                placed[at] = start
            return placed

    class Transport(driver.Transport):
        pass

    Transport.Consumer = Consumer
    return Transport(app.conf.broker_consumer, app)


async def lag(app: faust.App) -> int:
    """Feedback events in this worker's partitions that are not yet in Redis."""
    consumer = app.consumer
    held = list(consumer.assignment())
    if not held:
        return 0
    ends = await consumer.highwaters(*held)
    waiting = len(consumer.unacked)
    for at in held:
        position = await consumer.position(at)
        waiting += max(0, ends[at] - position) if position is not None else 0
    return waiting
