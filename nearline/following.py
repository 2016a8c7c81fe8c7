"""What else happens with a batch besides the members' states: trending counts it, re-retrieval looks for signals.

A follower is called in the state writer's thread when the batch's states are in Redis, and before the watermark moves. If it
raises, nothing of the batch is acknowledged and its records come again, possibly in other batches and with some of them seen
by the states already; so a follower keeps its own account of what it has counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nearline.records import Record, Source
from shared.events import Feedback, Play
from shared.fence import Fence
from shared.state import MemberState


class MemberChange(Protocol):
    """A member whose state this batch has changed."""

    @property
    def fence(self) -> Fence: ...

    def state(self) -> MemberState:
        """The state as it is in Redis now; made when it is asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of one topic whose effect on the states is in Redis.

    Attributes
    ----------
    records : in the order of their offsets within each partition.
    events : of each record what it says, or None where it cannot be read; seen ones are among them.
    changed : member id to what became of the state, for the members whose state was written.
    """

    source: Source
    records: Sequence[Record]
    events: Sequence[Play | Feedback | None]
    changed: Mapping[str, MemberChange]


class Follower(Protocol):
    """Takes part in the effect of each batch."""

    def follow(self, batch: Batch) -> None:
        """Take a batch into account; raise to have it come again."""
        ...
