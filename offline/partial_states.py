"""States of parts of the log, and how they become the states of all of it: what Spark's tasks run for the replay.

    records of one topic ──(fold_records)──┐
    imported plays ──────────(fold_plays)──┴─► partial states ──by member──(merge)──► states

A state is a join semilattice (`shared.state`), so it does not matter where the log is cut: each task folds what it reads, and
only states travel between tasks. Memory is bounded: a task that holds too much gives its states up as they are and begins
anew, and merging takes some of a member's states at a time. Batches of states have the columns of `shared.tables.STATES`.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import pyarrow as pa

from shared import fence as fences
from shared import marks
from shared import state as states
from shared.accumulator import Accumulator
from shared.errors import EventError
from shared.events import SCHEMA_VERSION, Feedback, Play
from shared.fence import Fence, Position
from shared.lake import ArrowFunction

RECORD_COLUMNS = ("key", "value", "arrived_at_ms", "epoch", "offset", "partition")
PLAY_COLUMNS = ("member_id", "event_id", "title_id", "kind", "session_id", "at_ms", "position_s", "runtime_s")
"""What a state keeps of a play."""


class Limits(NamedTuple):
    """What a task holds at most.

    Attributes
    ----------
    waiting_bytes : of events, as they came, that wait to be folded: the more wait, the more of a member's are folded at once.
    states_bytes : of states, in memory.
    """

    waiting_bytes: int = 32 << 20
    states_bytes: int = 256 << 20


LIMITS = Limits()
_MEMORY_PER_STATE_BYTE = 3
_MEMORY_PER_MEMBER = 1000
_STATES_PER_BATCH = 1000
_MERGED_AT_ONCE = 64

Decode = Callable[[bytes | None, bytes | None, int | None], Play | Feedback]
State = tuple[str, bytes, bytes]
"""Member id, state, fence."""


def fold_records(topic: str, decode: Decode, limits: Limits = LIMITS) -> ArrowFunction:
    """Batches of one topic's `RECORD_COLUMNS` to partial states; what cannot be read is left out, as the worker leaves it out."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = _Held(lambda part: {topic: part.position()}, limits)
        for batch in batches:
            keys, values, times, *places = _columns(batch, RECORD_COLUMNS)
            for key, value, arrived_at_ms, place in zip(keys, values, times, zip(*places, strict=True), strict=True):
                try:
                    event = decode(value, key, arrived_at_ms)
                except EventError:
                    continue
                part = held.part(event.member_id)
                part.waiting.append(event)
                if place > part.place:
                    part.place = place
            yield from held.settle(batch.nbytes)
        yield from held.give_up()

    return run


def fold_plays(limits: Limits = LIMITS) -> ArrowFunction:
    """Batches of `PLAY_COLUMNS` of imported history, which was checked when it came and has no place in a topic."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = _Held(lambda part: marks.imported(part.folded), limits)
        unused: dict[str, Any] = {"schema": SCHEMA_VERSION, "watched_s": 0.0, "device": "", "country": ""}
        for batch in batches:
            for row in zip(*_columns(batch, PLAY_COLUMNS), strict=True):
                play = Play(**dict(zip(PLAY_COLUMNS, row, strict=True)), **unused)
                held.part(play.member_id).waiting.append(play)
            yield from held.settle(batch.nbytes)
        yield from held.give_up()

    return run


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Partial states, a member's one after the other, to whole ones."""
    rows = (zip(*_columns(batch, ("member_id", "state", "fence")), strict=True) for batch in batches)
    by_member = itertools.groupby(itertools.chain.from_iterable(rows), key=itemgetter(0))
    return _batches(_merged(parts) for _, parts in by_member)


def _merged(parts: Iterator[State]) -> State:
    member_id, blob, fence = next(parts)
    while more := list(itertools.islice(parts, _MERGED_AT_ONCE)):
        blob = states.encode(states.merge(states.decode(blob), *(states.decode(part) for _, part, _ in more)))
        fence = fences.encode(_merged_fence([fences.decode(fence), *(fences.decode(part) for _, _, part in more)]))
    return member_id, blob, fence


def _merged_fence(parts: list[Fence]) -> Fence:
    imported = sum(part[marks.IMPORTED].offset for part in parts if marks.IMPORTED in part)
    return functools.reduce(fences.merge, parts) | marks.imported(imported)


class _Part:
    """What a task knows of one member: a state, the events to be folded into it, and the last record's place."""

    __slots__ = ("folded", "place", "state", "waiting")

    def __init__(self) -> None:
        self.state = Accumulator()
        self.waiting: list[Play | Feedback] = []
        self.folded = 0
        self.place = (0, -1, -1)  # epoch, offset, partition: in this order the greatest is what `shared.fence.merge` takes

    def position(self) -> Position:
        epoch, offset, partition = self.place
        return Position(epoch, partition, offset)

    def fold(self) -> None:
        # In order of time is what the accumulator is fastest at.
        self.state.fold(sorted(self.waiting, key=attrgetter("at_ms")))
        self.folded += len(self.waiting)
        self.waiting = []


class _Held:
    """The members of a task. `fence` says how far a member's part reaches, once all is folded."""

    def __init__(self, fence: Callable[[_Part], Fence], limits: Limits) -> None:
        self._fence = fence
        self._limits = limits
        self._parts: dict[str, _Part] = {}
        self._waiting_bytes = 0

    def part(self, member_id: str) -> _Part:
        """A member's, new or known; the caller puts events into it."""
        part = self._parts.get(member_id)
        if part is None:
            part = self._parts[member_id] = _Part()
        return part

    def settle(self, came_bytes: int) -> Iterator[pa.RecordBatch]:
        """After some more events came: fold if many wait, and if the states have grown too large, give them up."""
        self._waiting_bytes += came_bytes
        if self._waiting_bytes >= self._limits.waiting_bytes and self._fold() >= self._limits.states_bytes:
            yield from self.give_up()

    def give_up(self) -> Iterator[pa.RecordBatch]:
        """All states, with which the task is done, and nothing is held any more."""
        self._fold()
        parts, self._parts = self._parts, {}
        return _batches((member_id, part.state.encode(), fences.encode(self._fence(part))) for member_id, part in parts.items())

    def _fold(self) -> int:
        """Fold what waits; the memory that all states take then."""
        self._waiting_bytes = memory_bytes = 0
        for part in self._parts.values():
            if part.waiting:
                part.fold()
            memory_bytes += _MEMORY_PER_MEMBER + _MEMORY_PER_STATE_BYTE * part.state.size
        return memory_bytes


def _columns(batch: pa.RecordBatch, names: Iterable[str]) -> list[list[Any]]:
    return [batch[name].to_pylist() for name in names]


def _batches(rows: Iterator[State]) -> Iterator[pa.RecordBatch]:
    while chunk := list(itertools.islice(rows, _STATES_PER_BATCH)):
        members, blobs, marked = zip(*chunk, strict=True)
        yield pa.RecordBatch.from_arrays(
            [pa.array(members, pa.string()), pa.array(blobs, pa.binary()), pa.array(marked, pa.binary())],
            names=["member_id", "state", "fence"],
        )
