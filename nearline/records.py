"""A record as it comes from Kafka, whichever client fetched it."""

from dataclasses import dataclass
from typing import Protocol


class Record(Protocol):
    """What aiokafka's `ConsumerRecord` and Faust's `Message` have in common."""

    @property
    def partition(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of one topic."""

    topic: str
    partition: int
