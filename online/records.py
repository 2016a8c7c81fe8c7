"""Members' live records, many in one read: for callers that build something else than a page of them.

Reading a hundred records costs little more than Redis needs to send their bytes: one trip takes them all, and each is decoded
when somebody looks at it. Titles' records are in memory (`Recommender.serving`).
"""

from collections.abc import Sequence
from functools import cached_property

from online.resp import Command
from shared import fence as fences
from shared import keys, state
from shared.errors import UnavailableError
from shared.fence import Fence
from shared.state import MemberState


class MemberRecord:
    """One member's live state as it is stored, with its fence.

    Attributes
    ----------
    state_bytes, fence_bytes : empty for a member without a state.
    """

    __slots__ = ("__dict__", "fence_bytes", "member_id", "state_bytes")

    def __init__(self, member_id: str, state_bytes: bytes, fence_bytes: bytes) -> None:
        self.member_id = member_id
        self.state_bytes = state_bytes
        self.fence_bytes = fence_bytes

    @cached_property
    def state(self) -> MemberState:
        """The state.

        Raises
        ------
        SnapshotError : it is corrupt or of a newer version.
        """
        return state.decode(self.state_bytes) if self.state_bytes else state.EMPTY

    @cached_property
    def fence(self) -> Fence:
        """Which events the state has seen."""
        return fences.decode(self.fence_bytes)


def ask_records(namespace: str, member_ids: Sequence[str]) -> list[Command]:
    """The commands that read some members' states. A script that reads them all in one command is no faster than these."""
    fields = keys.STATE_FIELD, keys.FENCE_FIELD
    return [(b"HMGET", keys.state(namespace, member_id), *fields) for member_id in member_ids]


def records_of(member_ids: Sequence[str], replies: Sequence[object]) -> list[MemberRecord]:
    """The records in the replies.

    Raises
    ------
    UnavailableError : Redis refused some of them.
    """
    found: list[MemberRecord] = []
    for member_id, reply in zip(member_ids, replies, strict=True):
        if not isinstance(reply, list):
            raise UnavailableError(f"the record of member {member_id!r} could not be read: {reply}")
        blob, fence = reply
        found.append(MemberRecord(member_id, blob or b"", fence or b""))
    return found
