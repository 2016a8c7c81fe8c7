"""The states that the worker keeps in memory, bounded, the least recently used leaving first.

Nothing here needs to be right for the states in Redis to be right: a write carries the fence that it started from, and
Redis refuses it when somebody else has moved on. The cache saves reads, no more.
"""

from collections import OrderedDict
from dataclasses import dataclass

from shared.fence import Fence
from shared.state import MemberState
from shared.store import StoredState


@dataclass(frozen=True, slots=True)
class Held:
    """A member's state with its fence, decoded, and the fence's bytes as they are in Redis."""

    state: MemberState
    fence: Fence
    fence_bytes: bytes

    @staticmethod
    def of(stored: StoredState) -> "Held":
        """What was read from Redis."""
        state, fence = stored.decode()
        return Held(state, fence, stored.fence)


class StateCache:
    """Member id to `Held`, for at most `limit` members."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[str, Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, member_id: str) -> Held | None:
        """What is known about a member, and mark it as used."""
        held = self._held.get(member_id)
        if held is not None:
            self._held.move_to_end(member_id)
        return held

    def put(self, member_id: str, held: Held) -> None:
        """Keep a state; the least recently used one leaves if there are too many."""
        self._held[member_id] = held
        self._held.move_to_end(member_id)
        if len(self._held) > self._limit:
            self._held.popitem(last=False)
