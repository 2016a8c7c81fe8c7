"""The states that the worker keeps in memory, bounded in bytes, the least recently used leaving first.

Nothing here needs to be right for the states in Redis to be right: a write carries the fence that it started from, and
Redis refuses it when somebody else has moved on. The cache saves reads, no more. A state is taken out to be changed and put
back once Redis has the change, so what a failed write leaves behind is never met again.
"""

from collections import OrderedDict

from shared import fence as fences
from shared.accumulator import Accumulator
from shared.fence import Fence
from shared.store import StoredState

BYTES_PER_STATE_BYTE = 4
"""Memory that a held state takes for each byte of its encoded form, measured on states from 5 to 100 titles."""
BYTES_PER_MEMBER = 1000


class Held:
    """A member's state with its fence, and the fence's bytes as they are in Redis."""

    __slots__ = ("fence", "fence_bytes", "state")

    def __init__(self, state: Accumulator, fence: Fence, fence_bytes: bytes) -> None:
        self.state = state
        self.fence = fence
        self.fence_bytes = fence_bytes

    @staticmethod
    def of(stored: StoredState) -> "Held":
        """What was read from Redis."""
        return Held(Accumulator.of(stored.state), fences.decode(stored.fence), stored.fence)

    @property
    def memory_bytes(self) -> int:
        """About how much memory it takes."""
        return BYTES_PER_MEMBER + BYTES_PER_STATE_BYTE * self.state.size


class StateCache:
    """Member id to `Held`, for about `limit_bytes` of memory."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[str, tuple[Held, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def take(self, member_id: str) -> Held | None:
        """What is known about a member; it is no longer in the cache then."""
        found = self._held.pop(member_id, None)
        if found is None:
            return None
        self._bytes -= found[1]
        return found[0]

    def put(self, member_id: str, held: Held) -> None:
        """Keep a state; the least recently used ones leave if there are too many."""
        size = held.memory_bytes
        self._held[member_id] = (held, size)
        self._bytes += size
        while self._bytes > self._limit_bytes:
            _, (_, freed) = self._held.popitem(last=False)
            self._bytes -= freed
