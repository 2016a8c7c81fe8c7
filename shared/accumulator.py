"""A member's state as the nearline worker keeps it between batches: changed in place, and cheap to turn into bytes.

It is `shared.state.fold` and `encode` over again, arranged for what happens most: a play newer than all others. Every title's
last play is kept as the bytes that it has in the state, in order of time, so that such a play costs one entry and one
joining of bytes, however much the member has watched. Whatever else happens (a late play, a title finished, feedback) goes
through the functions of `shared.state`. That both ways end in the same bytes for all events is a property test.
"""

from collections.abc import Iterable, Sequence
from typing import Self

import msgspec

from shared import state as states
from shared.events import Feedback, Play
from shared.state import Mark, Played

_ENTRY_DECODER = msgspec.msgpack.Decoder(Played)
_MARKS_DECODER = msgspec.msgpack.Decoder(tuple[Mark, ...])
_PARTS_DECODER = msgspec.msgpack.Decoder(tuple[list[msgspec.Raw], msgspec.Raw, msgspec.Raw, msgspec.Raw])
_encode = msgspec.msgpack.Encoder().encode

_FOUR_PARTS = b"\x94"  # MessagePack: an array of four
_NO_MARKS = b"\x90"
_BEFORE_ALL = (-1, "")


class Accumulator:
    """The state of one member, growing.

    Attributes
    ----------
    size : bytes of the encoded state.
    """

    __slots__ = ("_entries", "_finished", "_my_list", "_newest", "_thumbs", "size")

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}  # title to its entry's bytes, the oldest play first
        self._newest: tuple[int, str] = _BEFORE_ALL  # event time and id of the last entry
        self._finished = self._thumbs = self._my_list = _NO_MARKS
        self.size = 0

    @classmethod
    def of(cls, blob: bytes) -> Self:
        """Go on from an encoded state; from nothing if it is empty.

        Raises
        ------
        SnapshotError : as `shared.state.decode`.
        """
        own = cls()
        if blob:
            own._take(blob if blob[0] == states.STATE_VERSION else states.encode(states.decode(blob)))
        return own

    def fold(self, events: Sequence[Play | Feedback]) -> bytes:
        """Fold some events in, in any order, any of them possibly seen before; the state's bytes."""
        newest = self._newest
        fresh: dict[str, Play] = {}  # of each title the last play that is newer than all before it
        others: list[Play | Feedback] = []
        finished: list[Mark] = []
        for event in events:
            if not isinstance(event, Play):
                others.append(event)
                continue
            when = (event.at_ms, event.event_id)
            if when <= newest:
                others.append(event)
                continue
            newest = when
            title_id = event.title_id
            fresh.pop(title_id, None)
            fresh[title_id] = event
            if event.position_s > 0.5 * event.runtime_s and states.played_of(event).is_finished:
                finished.append(Mark(event.at_ms, title_id, True))
        if fresh:
            self._append(fresh, newest)
        if finished:
            self._finished = _raised(self._finished, finished, states.FINISHED_LIMIT)
        if others:
            self._fold_plainly(others)
        return self.encode()

    def encode(self) -> bytes:
        """The bytes that `shared.state.encode` gives for this state."""
        entries = self._entries
        blob = b"".join((_HEAD, _array_header(len(entries)), *entries.values(), self._finished, self._thumbs, self._my_list))
        self.size = len(blob)
        return blob

    def _append(self, fresh: dict[str, Play], newest: tuple[int, str]) -> None:
        entries = self._entries
        for title_id, play in fresh.items():
            if title_id in entries:
                del entries[title_id]
            entries[title_id] = _entry(play)
        while len(entries) > states.PLAYED_LIMIT:
            del entries[next(iter(entries))]
        self._newest = newest

    def _fold_plainly(self, events: Iterable[Play | Feedback]) -> None:
        """Fold what needs the plain reducer, unless it is a play that changes nothing: a repeated or overtaken one."""
        due = [event for event in events if not (isinstance(event, Play) and self._is_outdone(event))]
        if due:
            self._take(states.encode(states.fold(states.decode(self.encode()), due)))

    def _is_outdone(self, play: Play) -> bool:
        known = self._entries.get(play.title_id)
        if known is None:
            return False
        entry = states.played_of(play)
        return not entry.is_finished and entry <= _ENTRY_DECODER.decode(known)

    def _take(self, blob: bytes) -> None:
        state = states.decode(blob)
        entries, finished, thumbs, my_list = _PARTS_DECODER.decode(memoryview(blob)[1:])
        self._entries = {played.title_id: bytes(entry) for played, entry in zip(state.played, entries, strict=True)}
        self._newest = (state.played[-1].at_ms, state.played[-1].event_id) if state.played else _BEFORE_ALL
        self._finished, self._thumbs, self._my_list = bytes(finished), bytes(thumbs), bytes(my_list)
        self.size = len(blob)


_HEAD = bytes((states.STATE_VERSION,)) + _FOUR_PARTS


def _entry(play: Play) -> bytes:
    """The bytes of `shared.state.played_of(play)`."""
    return _encode(
        (
            play.at_ms,
            play.event_id,
            play.title_id,
            play.session_id,
            play.kind,
            round(play.position_s * 1000),
            max(1, round(play.runtime_s * 1000)),
        )
    )


def _array_header(length: int) -> bytes:
    """MessagePack's header of an array."""
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xdd" + length.to_bytes(4, "big")


def _raised(part: bytes, marks: Iterable[Mark], limit: int) -> bytes:
    """A part of marks with some more of them in it."""
    return _encode(states.raised(_MARKS_DECODER.decode(part), marks, limit))
