"""The fence: how far into each topic a member's state has got.

A state in Redis is written together with its fence in one atomic step, and only if the fence there is still the one that
the writer had read. So a record that is delivered twice is seen to be behind the fence, and a worker that lost its
partition without noticing cannot overwrite what its successor wrote.
"""

from typing import NamedTuple

from shared.errors import SnapshotError


class Position(NamedTuple):
    """One record's place. The epoch grows when a topic is created anew, so that its offsets never count as old."""

    epoch: int
    partition: int
    offset: int

    def is_after(self, other: "Position") -> bool:
        """Whether this record may not be in a state that has reached `other`.

        A member's records share a partition as long as all producers choose it alike. Where they don't, offsets do not
        compare, and both records count as later than the other: folding one again does no harm, leaving one out would.
        """
        if self.epoch != other.epoch:
            return self.epoch > other.epoch
        return self.partition != other.partition or self.offset > other.offset

    def is_behind(self, other: "Position") -> bool:
        """Whether this position is surely earlier than `other`."""
        if self.epoch != other.epoch:
            return self.epoch < other.epoch
        return self.partition == other.partition and self.offset < other.offset


Fence = dict[str, Position]
"""Topic to the last record of this member that is in the state."""


def encode(fence: Fence) -> bytes:
    """`topic=epoch:partition:offset`, joined by `;` in the topics' order: equal fences give equal bytes."""
    entries = fence.items() if len(fence) == 1 else sorted(fence.items())
    return ";".join([f"{topic}={epoch}:{partition}:{offset}" for topic, (epoch, partition, offset) in entries]).encode()


def decode(blob: bytes | None) -> Fence:
    """Read what `encode` wrote; None is the empty fence.

    Raises
    ------
    SnapshotError : the bytes are no fence.
    """
    if not blob:
        return {}
    try:
        fence: Fence = {}
        for part in blob.decode().split(";"):
            topic, _, place = part.partition("=")
            epoch, partition, offset = place.split(":")
            fence[topic] = Position(int(epoch), int(partition), int(offset))
        return fence
    except ValueError:
        raise SnapshotError(f"{blob[:80]!r} is not a fence (topic=epoch:partition:offset;…)") from None


def has_seen(fence: Fence, topic: str, position: Position) -> bool:
    """Whether a record is already in the state that this fence belongs to."""
    last = fence.get(topic)
    return last is not None and not position.is_after(last)


def advance(fence: Fence, topic: str, position: Position) -> None:
    """Move the fence to a record, in place; never back."""
    last = fence.get(topic)
    if last is None or position.is_after(last):
        fence[topic] = position


def merge(left: Fence, right: Fence) -> Fence:
    """The fence of two states merged: the later position of each topic."""
    merged = dict(left)
    for topic, position in right.items():
        merged[topic] = max(position, merged.get(topic, position), key=lambda at: (at.epoch, at.offset, at.partition))
    return merged
