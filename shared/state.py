"""A member's state and the one reducer that makes it. Pure: no I/O, no clock, no randomness.

The nearline worker folds events from the stream, the offline replay folds the log; both end in the bytes that `fold` and
`encode` here define (`shared.accumulator` is the same, faster, for states that change often).

The state is a join semilattice. Each part keeps, for every title, the greatest entry by (event time, event id, then the
rest of the entry), and of those the newest `limit` titles. The greatest entry carries all its values with it and depends
on no earlier one, so a title that was dropped for being old can only return through a newer event, which says everything
anew. Therefore any order, any duplication and any split of the events gives the same state, however late they come and
without a window in which duplicates must be remembered:

    fold(empty, a + b) == merge(fold(empty, a), fold(empty, b))

That is also why there are no counters and running averages here. What a page or a model needs beyond the facts (the session,
abandoned titles, the token sequence, and in `shared.tastes` the decayed tastes by genre) is a view: worked out from the
facts when it is read, at the reader's time and with the catalogue of the day. All numbers in the state are integers, so
equal means equal.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar

import msgspec

from shared.errors import SnapshotError
from shared.events import Feedback, Play

STATE_VERSION = 2
PLAYED_LIMIT = 100
"""Titles whose last play is kept (bookmark, recency, session)."""
FINISHED_LIMIT = 1000
"""Titles remembered as watched to the end."""
THUMBS_LIMIT = 500
LIST_LIMIT = 500
FINISHED_PERCENT = 90
"""A title is finished once the position is this far in: what is left are credits."""
STARTED_PERCENT = 2
"""Below this share a play counts as a glance: it is no bookmark to come back to."""
ABANDONED_PERCENT = 5
"""Stopped before this share: tried, and not liked."""
ABANDONED_AFTER_MS = 30 * 24 * 3600 * 1000
"""Left alone for so long, a title in progress is not coming back by itself."""


class Played(NamedTuple):
    """The last report about one title. `position_ms` is the bookmark."""

    at_ms: int
    event_id: str
    title_id: str
    session_id: str
    kind: Literal["start", "progress", "stop"]
    position_ms: int
    runtime_ms: int

    @property
    def share(self) -> float:
        """How far into the title the bookmark is, from 0 to 1."""
        return min(1.0, self.position_ms / self.runtime_ms)

    @property
    def is_finished(self) -> bool:
        """Whether the bookmark is in the credits."""
        return self.position_ms * 100 >= self.runtime_ms * FINISHED_PERCENT

    @property
    def is_in_progress(self) -> bool:
        """Whether there is something to come back to: begun, and not finished."""
        return not self.is_finished and self.position_ms * 100 >= self.runtime_ms * STARTED_PERCENT

    def is_abandoned(self, now_ms: int) -> bool:
        """Whether the member gave the title up: stopped right after the beginning, or not touched for a month."""
        if self.is_finished:
            return False
        is_rejected = self.kind == "stop" and self.position_ms * 100 < self.runtime_ms * ABANDONED_PERCENT
        return is_rejected or now_ms - self.at_ms > ABANDONED_AFTER_MS


class Mark(NamedTuple):
    """One title with what was last said about it, and when: finished, thumbed, listed or taken off the list.

    Of a yes and a no in the same millisecond the yes holds.
    """

    at_ms: int
    title_id: str
    is_set: bool  # finished: always; thumbs: up; list: on it


class Session(NamedTuple):
    """The session of the newest play. `played` are its titles, the newest last; `since_ms` is the oldest report among them."""

    session_id: str
    since_ms: int
    played: tuple[Played, ...]


class Token(NamedTuple):
    """One step of the sequence that a sequence model reads."""

    title_id: str
    at_ms: int
    share: float


_Entry = TypeVar("_Entry", "Played", "Mark")


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known live about a member. Every part is ordered from the oldest entry to the newest.

    Removed list entries stay as marks with `is_set` false: they are needed to tell that a late `list_add` is older.
    """

    played: tuple[Played, ...] = ()
    finished: tuple[Mark, ...] = ()
    thumbs: tuple[Mark, ...] = ()
    my_list: tuple[Mark, ...] = ()

    @property
    def updated_at_ms(self) -> int:
        """Event time of the newest event in the state; 0 for an empty one."""
        return max((part[-1].at_ms for part in (self.played, self.finished, self.thumbs, self.my_list) if part), default=0)

    @property
    def session_id(self) -> str | None:
        """The session of the newest play."""
        return self.played[-1].session_id if self.played else None

    @property
    def finished_titles(self) -> frozenset[str]:
        """Every title watched to the end."""
        return frozenset(mark.title_id for mark in self.finished)

    @property
    def disliked_titles(self) -> frozenset[str]:
        """Every title with a thumb down."""
        return frozenset(mark.title_id for mark in self.thumbs if not mark.is_set)

    def in_progress(self) -> list[Played]:
        """Titles to continue, the last watched first: `played` is kept in this order, nothing is sorted to read it."""
        return [played for played in reversed(self.played) if played.is_in_progress]

    def abandoned(self, now_ms: int) -> list[Played]:
        """Titles that were given up, the last watched first."""
        return [played for played in reversed(self.played) if played.is_abandoned(now_ms)]

    def session(self) -> Session | None:
        """The current session; None before the first play."""
        if not self.played:
            return None
        current = self.played[-1].session_id
        played = tuple(entry for entry in self.played if entry.session_id == current)
        return Session(current, played[0].at_ms, played)

    def tokens(self, limit: int) -> list[Token]:
        """The newest `limit` titles played, each once, at its last play, in the order of time.

        A title that is known only as finished, since its play was crowded out by newer ones, stands where it was finished.
        """
        known = {played.title_id for played in self.played}
        tokens = [Token(played.title_id, played.at_ms, played.share) for played in self.played]
        tokens += [Token(mark.title_id, mark.at_ms, 1.0) for mark in self.finished if mark.title_id not in known]
        return sorted(tokens, key=lambda token: (token.at_ms, token.title_id))[-limit:]


EMPTY = MemberState()


def apply(state: MemberState, event: Play | Feedback) -> MemberState:
    """The state after one more event. `fold` does many at once and gives the same."""
    return fold(state, (event,))


def fold(state: MemberState, events: Iterable[Play | Feedback]) -> MemberState:
    """The state after some more events, in any order, any of them possibly seen before.

    Parameters
    ----------
    state : where to start from.
    events : plays and feedback of this one member.
    """
    played = {entry.title_id: entry for entry in state.played}
    finished = {mark.title_id: mark for mark in state.finished}
    thumbs = {mark.title_id: mark for mark in state.thumbs}
    my_list = {mark.title_id: mark for mark in state.my_list}
    for event in events:
        title_id = event.title_id
        if isinstance(event, Play):
            entry = played_of(event)
            known = played.get(title_id)
            if known is None or entry > known:
                played[title_id] = entry
            if entry.is_finished:
                _raise_to(finished, Mark(event.at_ms, title_id, True))
        elif event.kind in ("thumbs_up", "thumbs_down"):
            _raise_to(thumbs, Mark(event.at_ms, title_id, event.kind == "thumbs_up"))
        else:
            _raise_to(my_list, Mark(event.at_ms, title_id, event.kind == "list_add"))
    return MemberState(
        played=_newest(played, PLAYED_LIMIT),
        finished=_newest(finished, FINISHED_LIMIT),
        thumbs=_newest(thumbs, THUMBS_LIMIT),
        my_list=_newest(my_list, LIST_LIMIT),
    )


def played_of(play: Play) -> Played:
    """What a play says, as an entry of the state."""
    return Played(
        play.at_ms,
        play.event_id,
        play.title_id,
        play.session_id,
        play.kind,
        round(play.position_s * 1000),
        max(1, round(play.runtime_s * 1000)),
    )


def merge(*parts: MemberState) -> MemberState:
    """The state of the events of all parts together: commutative, associative, idempotent."""
    return MemberState(
        played=_newest(_greater(entry for part in parts for entry in part.played), PLAYED_LIMIT),
        finished=_newest(_greater(mark for part in parts for mark in part.finished), FINISHED_LIMIT),
        thumbs=_newest(_greater(mark for part in parts for mark in part.thumbs), THUMBS_LIMIT),
        my_list=_newest(_greater(mark for part in parts for mark in part.my_list), LIST_LIMIT),
    )


def raised(marks: Iterable[Mark], more: Iterable[Mark], limit: int) -> tuple[Mark, ...]:
    """A part of marks with some more of them taken in, in any order: the newest `limit` titles."""
    return _newest(_greater((*marks, *more)), limit)


def _raise_to(marks: dict[str, Mark], mark: Mark) -> None:
    known = marks.get(mark.title_id)
    if known is None or mark > known:
        marks[mark.title_id] = mark


def _greater(entries: Iterable[_Entry]) -> dict[str, _Entry]:
    greatest: dict[str, _Entry] = {}
    for entry in entries:
        known = greatest.get(entry.title_id)
        if known is None or entry > known:
            greatest[entry.title_id] = entry
    return greatest


def _newest(entries: dict[str, _Entry], limit: int) -> tuple[_Entry, ...]:
    return tuple(sorted(entries.values())[-limit:])


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    """The state's layout on the wire, behind one version byte."""

    played: tuple[Played, ...]
    finished: tuple[Mark, ...]
    thumbs: tuple[Mark, ...]
    my_list: tuple[Mark, ...]


class _MarkV1(NamedTuple):
    at_ms: int
    event_id: str
    title_id: str
    is_set: bool


class _StoredV1(msgspec.Struct, array_like=True, frozen=True):
    """Version 1: marks carried the id of their event."""

    played: tuple[Played, ...]
    finished: tuple[_MarkV1, ...]
    thumbs: tuple[_MarkV1, ...]
    my_list: tuple[_MarkV1, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Stored)
_DECODER_V1 = msgspec.msgpack.Decoder(_StoredV1)


def encode(state: MemberState) -> bytes:
    """The state as bytes: a version byte, then MessagePack. Equal states give equal bytes."""
    stored = _Stored(state.played, state.finished, state.thumbs, state.my_list)
    return bytes((STATE_VERSION,)) + _ENCODER.encode(stored)


def decode(blob: bytes) -> MemberState:
    """Read what `encode` wrote, of this version or an older one.

    Raises
    ------
    SnapshotError : the bytes are of a newer version or corrupt.
    """
    version = blob[0] if blob else 0
    if not 1 <= version <= STATE_VERSION:
        told = version if blob else "missing"
        raise SnapshotError(f"a member state has version {told}; this code reads versions 1 to {STATE_VERSION}")
    content = memoryview(blob)[1:]
    try:
        if version == 1:
            return _upgraded(_DECODER_V1.decode(content))
        stored = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"a member state of {len(blob)} bytes is corrupt: {error}") from None
    return MemberState(played=stored.played, finished=stored.finished, thumbs=stored.thumbs, my_list=stored.my_list)


def _upgraded(old: _StoredV1) -> MemberState:
    """A state of version 1 as version 2 has it: ordered and bounded as `fold` would leave it."""

    def marks(entries: tuple[_MarkV1, ...]) -> tuple[Mark, ...]:
        return tuple(Mark(entry.at_ms, entry.title_id, entry.is_set) for entry in entries)

    parts = {name: marks(getattr(old, name)) for name in ("finished", "thumbs", "my_list")}
    return merge(MemberState(played=old.played, **parts), EMPTY)
