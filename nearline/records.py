"""A record as it comes from Kafka, whichever client fetched it, and the topic that it comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Record(Protocol):
    """What the worker needs of a record; aiokafka's `ConsumerRecord` is one."""

    @property
    def partition(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int | None:
        """When it came to Kafka, in milliseconds."""
        ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Arrived:
    """A record taken out of its client's own type."""

    partition: int
    offset: int
    timestamp: int | None
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of one topic."""

    topic: str
    partition: int


Decode = Callable[[bytes | None, bytes | None, int | None], Any]
"""Value, key and time of arrival to the event; raises `EventError` with the reason when it is none."""


@dataclass(frozen=True, slots=True)
class Source:
    """A topic that the worker reads: its name, its present incarnation, and how its values are read."""

    topic: str
    epoch: int
    decode: Decode


def offsets_after(topic: str, records: Sequence[Record]) -> dict[Place, int]:
    """Of each partition the offset after its last record; each partition's records are in the order of their offsets."""
    last = {record.partition: record.offset for record in records}  # the last one stays
    return {Place(topic, partition): offset + 1 for partition, offset in last.items()}


class Writer(Protocol):
    """Brings the effect of a batch into Redis; `nearline.states.writer.StateWriter` is one."""

    def write(self, source: Source, records: Sequence[Record]) -> dict[Place, int]:
        """Everything of the batch is in Redis when this returns; of each partition the offset that may be committed.

        Raises
        ------
        redis.RedisError, MarqueeError : nothing may be acknowledged, and the same records can be given again.
        """
        ...
