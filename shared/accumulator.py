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
            if type(event) is not Play or (event.at_ms, event.event_id) <= newest:
                others.append(event)
                continue
            newest = (event.at_ms, event.event_id)
            title_id = event.title_id
            if title_id in fresh:
                del fresh[title_id]  # noqa: RUF051  # to stand last; asking first is cheaper than popping
            fresh[title_id] = event
            # Nearly every play is so far from the credits that no rounding can matter.
            is_near_the_end = event.position_s > 0.8 * event.runtime_s or event.runtime_s < 1.0
            if is_near_the_end and states.played_of(event).is_finished:
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
        count = len(entries)
        header = _HEADERS[count] if count < len(_HEADERS) else _header(count)
        blob = b"".join((header, *entries.values(), self._finished, self._thumbs, self._my_list))
        self.size = len(blob)
        return blob

    def _append(self, fresh: dict[str, Play], newest: tuple[int, str]) -> None:
        entries = self._entries
        for title_id, play in fresh.items():
            if title_id in entries:
                del entries[title_id]
            entries[title_id] = _encode(
                (
                    play.at_ms,
                    play.event_id,
                    title_id,
                    play.session_id,
                    play.kind,
                    round(play.position_s * 1000),
                    round(play.runtime_s * 1000) or 1,
                )
            )
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


def _header(length: int) -> bytes:
    """How a state begins: the version byte, MessagePack's header of the four parts, and that of the first, the plays."""
    head = bytes((states.STATE_VERSION,)) + _FOUR_PARTS
    if length < 16:
        return head + bytes((0x90 | length,))
    return head + (b"\xdc" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xdd" + length.to_bytes(4, "big"))


_HEADERS = [_header(length) for length in range(states.PLAYED_LIMIT + 1)]


def _raised(part: bytes, marks: Iterable[Mark], limit: int) -> bytes:
    """A part of marks with some more of them in it."""
    return _encode(states.raised(_MARKS_DECODER.decode(part), marks, limit))
