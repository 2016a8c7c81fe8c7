"""Reads the topics of events from one offset to another, outside any consumer group: what `verify` and `erase` go through.

Blocking, for commands; the worker reads through its own consumers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from nearline.records import Place, Record
from shared.config import KafkaConfig
from shared.errors import ConflictError, UnavailableError

POLL_MS = 200
RECORDS_PER_POLL = 5000
FETCH_WAIT_MS = 20
"""How long the broker may hold a fetch open. One held for partitions that are done delays the next read of them."""

T = TypeVar("T")


class Span(NamedTuple):
    """Offsets of one partition: from `first` up to, and without, `end`."""

    first: int
    end: int


class Piece(NamedTuple):
    """Some records of one partition, in the order of their offsets; `done` offsets of its span are behind the reader then."""

    place: Place
    records: list[Record]
    done: int


class LogReader:
    """A consumer without a group. One read at a time.

    Raises
    ------
    UnavailableError : from every method, when Kafka does not answer within its time limit.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._runner = asyncio.Runner()
        self._consumer: AIOKafkaConsumer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def spans(self, places: Collection[Place]) -> dict[Place, Span]:
        """What the partitions hold now."""

        async def ask(consumer: AIOKafkaConsumer) -> dict[Place, Span]:
            partitions = [TopicPartition(place.topic, place.partition) for place in places]
            first = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            return {Place(at.topic, at.partition): Span(first[at], ends[at]) for at in partitions}

        return self._call(ask)

    def read(self, spans: Mapping[Place, Span]) -> Iterator[Piece]:
        """Go through some partitions, each from its first offset to its end; their pieces come interleaved.

        Raises
        ------
        ConflictError : Kafka has removed records that were still to be read.
        """
        due = {TopicPartition(place.topic, place.partition): span for place, span in spans.items() if span.first < span.end}
        at = {partition: span.first for partition, span in due.items()}

        async def begin(consumer: AIOKafkaConsumer) -> None:
            consumer.assign(list(due))
            for partition, span in due.items():
                consumer.seek(partition, span.first)

        async def poll(consumer: AIOKafkaConsumer) -> tuple[dict[TopicPartition, list[Record]], dict[TopicPartition, int]]:
            found = await consumer.getmany(*due, timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL)
            return found, {partition: await consumer.position(partition) for partition in due}

        if due:
            self._call(begin)
        idle_s = 0.0
        while due:
            found, positions = self._call(poll)
            idle_s = 0.0 if positions != at else idle_s + POLL_MS / 1000
            if idle_s > self._config.timeout_s:
                raise UnavailableError(
                    f"Kafka at {self._config.bootstrap_servers} sent no record of {sorted(due)[0].topic!r} "
                    f"for {self._config.timeout_s:g} s"
                )
            for partition, span in list(due.items()):
                now = min(positions[partition], span.end)
                if now > at[partition]:
                    records = [record for record in found.get(partition, ()) if record.offset < span.end]
                    yield Piece(Place(partition.topic, partition.partition), records, now - at[partition])
                at[partition] = positions[partition]
                if now == span.end:
                    del due[partition], at[partition]

    def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            self._runner.run(self._consumer.stop())
            self._consumer = None
        self._runner.close()

    def _call(self, ask: Callable[[AIOKafkaConsumer], Awaitable[T]]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(self._config.timeout_s):
                return await ask(await self._connected())

        try:
            return self._runner.run(limited())
        except OffsetOutOfRangeError as error:
            raise ConflictError(f"Kafka removed records while they were read ({error}); start again") from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise UnavailableError(
                f"Kafka at {self._config.bootstrap_servers} did not answer within {self._config.timeout_s:g} s: "
                f"{error or type(error).__name__}"
            ) from error

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._config.bootstrap_servers,
                client_id="marquee-log-reader",
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                fetch_max_wait_ms=FETCH_WAIT_MS,
                request_timeout_ms=int(self._config.timeout_s * 1000),
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer
