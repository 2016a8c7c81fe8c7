"""The states that the worker keeps in memory, bounded in bytes, the least recently used leaving first.

Nothing here needs to be right for the states in Redis to be right: a write carries the fence that it started from, and
Redis refuses it when somebody else has moved on. The cache saves reads, no more. A state is taken out to be changed and put
back once Redis has the change, so what a failed write leaves behind is never met again.
"""

from collections import OrderedDict

from shared import fence as fences
from shared import state as states
from shared.accumulator import Accumulator
from shared.fence import Fence
from shared.state import MemberState
from shared.store import StoredState

BYTES_PER_STATE_BYTE = 3
"""Memory that a held state takes for each byte of its encoded form: 2.4 as Python counts it, on states of 5 to 100 titles, and
what its allocator leaves unused."""
BYTES_PER_MEMBER = 1000
"""… and for each member, however small the state."""


class Held:
    """A member's state with its fence, and the fence's bytes as they are in Redis."""

    __slots__ = ("accumulator", "fence", "fence_bytes", "memory_bytes")

    def __init__(self, accumulator: Accumulator, fence: Fence, fence_bytes: bytes) -> None:
        self.accumulator = accumulator
        self.fence = fence
        self.fence_bytes = fence_bytes
        self.memory_bytes = 0  # about what it takes, as far as the cache has counted it

    @staticmethod
    def of(stored: StoredState) -> "Held":
        """What was read from Redis."""
        return Held(Accumulator.of(stored.state), fences.decode(stored.fence), stored.fence)

    def state(self) -> MemberState:
        """The state as a value; see `nearline.following.MemberChange`."""
        return states.decode(self.accumulator.encode())


class StateCache:
    """Member id to `Held`, for about `limit_bytes` of memory."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def take(self, member_id: str) -> Held | None:
        """What is known about a member; it is no longer in the cache then."""
        held = self._held.pop(member_id, None)
        if held is not None:
            self._bytes -= held.memory_bytes
        return held

    def put(self, member_id: str, held: Held) -> None:
        """Keep a state; the least recently used ones leave if there are too many."""
        held.memory_bytes = BYTES_PER_MEMBER + BYTES_PER_STATE_BYTE * held.accumulator.size
        self._held[member_id] = held
        self._bytes += held.memory_bytes
        while self._bytes > self._limit_bytes:
            _, oldest = self._held.popitem(last=False)
            self._bytes -= oldest.memory_bytes

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._bytes = 0
