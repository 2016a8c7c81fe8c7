"""Makes a worker of today write as one of version 1 did: an older process beside a newer one, while a new release rolls out."""

from collections.abc import Sequence
from typing import Any

import msgspec

from shared import state as states
from shared.errors import SnapshotError
from shared.store import StateStore, StateWrite, StoredState

VERSION = 1


def become_older(*, checks_version: bool) -> None:
    """Patch the state store of this process: version 1 is written, and anything newer refused as that version refused it."""
    read, write = StateStore.read, StateStore.write

    def checked(stored: StoredState | None) -> StoredState | None:
        if stored is None or not stored.state or stored.state[0] == VERSION:
            return stored
        if not checks_version:
            return StoredState(b"", stored.fence)
        raise SnapshotError(f"a member state has version {stored.state[0]}; this code reads version {VERSION}")

    def older_read(this: StateStore, member_ids: Sequence[str]) -> Any:
        return [checked(stored) for stored in read(this, member_ids)]

    def older_write(this: StateStore, writes: Sequence[StateWrite]) -> Any:
        older = [StateWrite(e.member_id, e.fence_before, e.fence, downgraded(e.state)) for e in writes]
        return [checked(found) for found in write(this, older)]

    StateStore.read = older_read  # type: ignore[method-assign]
    StateStore.write = older_write  # type: ignore[method-assign]


def downgraded(blob: bytes) -> bytes:
    """A state's bytes in the layout of version 1, whose marks carried the id of their event."""
    state = states.decode(blob)
    parts = [
        [(mark.at_ms, "", mark.title_id, mark.is_set) for mark in part] for part in (state.finished, state.thumbs, state.my_list)
    ]
    return bytes((VERSION,)) + msgspec.msgpack.encode([state.played, *parts])
