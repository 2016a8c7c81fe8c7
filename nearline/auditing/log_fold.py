"""Folds plays and feedback from Kafka into member states, as the worker does, but from the beginning and with no worker's help.

The plain `shared.state.fold` is used on purpose: this is what the worker's faster ways are compared with. Memory is bounded by
slices of members, each taking a pass over the log, and by holding states as bytes.
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import redis

from nearline.auditing.log_reader import LogReader, Span
from nearline.records import Decode, Place
from nearline.states.watermarks import Watermarks
from shared import epochs, events, store, topics
from shared import fence as fences
from shared import state as states
from shared.config import Config
from shared.epochs import Epoch
from shared.errors import EventError
from shared.events import Feedback, Play
from shared.fence import Fence, Position
from shared.state import EMPTY, MemberState

EVENTS_HELD = 200_000
"""Events kept before they are folded: a state is taken apart and sorted at each fold, so few large folds are cheaper."""
MOST_SLICES = 1 << 16

Progress = Callable[[int], None]
"""Told how many offsets more have been passed."""


class Arrival(NamedTuple):
    """One valid event where it lies."""

    topic: str
    at: Position
    event: Play | Feedback


class Log:
    """The two topics that states are made from, as they are now.

    Attributes
    ----------
    places : every partition of both.
    epochs : topic to the epochs of its present incarnation, oldest first.
    broken : partitions in whose offsets gaps were found: compacted, or written in transactions.

    Raises
    ------
    UnavailableError : Kafka does not answer, or has no such topic.
    ConflictError : a topic has got more partitions and the cut-over was not made.
    """

    def __init__(self, config: Config, client: redis.Redis, reader: LogReader) -> None:
        self._config, self._namespace, self._reader = config, config.redis.namespace, reader
        self._decoders: dict[str, Decode] = {
            config.kafka.plays_topic: events.decode_play,
            config.kafka.feedback_topic: events.decode_feedback,
        }
        names = list(self._decoders)
        topics.epochs(client, self._namespace, config.kafka, names)
        found = topics.describe(config.kafka, names)
        self.places = [Place(name, number) for name in names for number in range(found[name].partitions)]
        self.epochs: dict[str, list[Epoch]] = {
            name: epochs.history(client, self._namespace, name, found[name].topic_id) for name in names
        }
        self.broken: set[Place] = set()

    def groups(self) -> list[list[Place]]:
        """Partitions whose members are nowhere else: the same number of both topics, or all of them where that cannot be told."""
        counts = {name: sum(place.topic == name for place in self.places) for name in self.epochs}
        if len(set(counts.values())) > 1 or any(len(history) > 1 for history in self.epochs.values()):
            return [self.places]
        return [[place for place in self.places if place.partition == number] for number in range(max(counts.values()))]

    def spans(self) -> dict[Place, Span]:
        """What the partitions hold now."""
        return self._reader.spans(self.places)

    def watermarks(self) -> dict[Place, int]:
        """The offset of each partition before which the workers say that everything is in Redis."""
        newest = {topic: history[-1].number for topic, history in self.epochs.items()}
        with store.connect(self._config.redis) as client:  # one that nobody else has: its connections are watched
            marks = Watermarks(client, self._namespace, newest)
            return {place: marks.resume(place, committed=sys.maxsize) for place in self.places}

    def is_whole(self, place: Place, span: Span) -> bool:
        """Whether a partition still has every event that ever came to it, those of earlier incarnations included."""
        return span.first == 0 and place not in self.broken and self.epochs[place.topic][0].number == 1

    def arrivals(
        self, spans: Mapping[Place, Span], wanted: Callable[[bytes], bool] | None = None, progress: Progress | None = None
    ) -> Iterator[Arrival]:
        """The valid events of some partitions, each partition's in order.

        Parameters
        ----------
        wanted : which record keys to look at; None for all.
        """
        for piece in self._reader.read(spans):
            place = piece.place
            if piece.done > len(piece.records):
                self.broken.add(place)
            decode, history = self._decoders[place.topic], self.epochs[place.topic]
            is_one_epoch = len(history) == 1
            for record in piece.records:
                key = record.key
                if key is None or (wanted is not None and not wanted(key)):
                    continue
                try:
                    event = decode(record.value, key, record.timestamp)
                except EventError:
                    continue
                offset = record.offset
                epoch = history[0].number if is_one_epoch else epochs.epoch_at(history, place.partition, offset)
                yield Arrival(place.topic, Position(epoch, place.partition, offset), event)
            if progress is not None:
                progress(piece.done)


@dataclass(slots=True)
class Folded:
    """A member's state as bytes, and how far into each topic it reaches."""

    state: bytes = b""
    fence: Fence = field(default_factory=dict)

    def value(self) -> MemberState:
        """The state."""
        return states.decode(self.state) if self.state else EMPTY

    def encoded(self) -> bytes:
        """The state's bytes; those of the empty one where nothing was folded."""
        return self.state or states.encode(EMPTY)


class Folding:
    """Folds events of many members as they come."""

    def __init__(self) -> None:
        self._held: dict[str, Folded] = {}
        self._pending: dict[str, list[Any]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, arrival: Arrival) -> None:
        """Take one event in."""
        member_id = arrival.event.member_id
        folded = self._held.get(member_id)
        if folded is None:
            folded = self._held[member_id] = Folded()
        fences.advance(folded.fence, arrival.topic, arrival.at)
        self._pending.setdefault(member_id, []).append(arrival.event)
        self._count += 1
        if self._count >= EVENTS_HELD:
            self._settle()

    def keep(self, wanted: Callable[[str], bool]) -> None:
        """Forget all members but some."""
        self._held = {member_id: folded for member_id, folded in self._held.items() if wanted(member_id)}
        self._pending = {member_id: found for member_id, found in self._pending.items() if member_id in self._held}
        self._count = sum(len(found) for found in self._pending.values())

    def result(self) -> dict[str, Folded]:
        """Every member that had an event."""
        self._settle()
        return self._held

    def _settle(self) -> None:
        for member_id, found in self._pending.items():
            folded = self._held[member_id]
            folded.state = states.encode(states.fold(folded.value(), found))
        self._pending, self._count = {}, 0


def fold_slices(
    log: Log, spans: Mapping[Place, Span], members_per_pass: int, progress: Progress | None = None
) -> Iterator[dict[str, Folded]]:
    """Fold some partitions, at most `members_per_pass` members at a time: more are divided by hash and take more passes."""
    due = [_Slice(1, 0)]
    while due:
        folded, others = _fold_slice(log, spans, due.pop(), members_per_pass, progress)
        due += others
        yield folded


def _fold_slice(
    log: Log, spans: Mapping[Place, Span], part: "_Slice", limit: int, progress: Progress | None
) -> "tuple[dict[str, Folded], list[_Slice]]":
    """Fold a slice, or as much of it as the limit lets in; and the slices that were left out for it."""
    folding, others = Folding(), []

    def is_mine(key: bytes) -> bool:
        return part.has_key(key)  # as it is by then

    for arrival in log.arrivals(spans, is_mine, progress):
        folding.add(arrival)
        while len(folding) > limit and part.slices < MOST_SLICES:
            part, other = part.halves()
            others.append(other)
            folding.keep(part.has)
    return folding.result(), others


@dataclass(frozen=True, slots=True)
class _Slice:
    """Of all members those whose hash leaves `remainder` when divided by `slices`."""

    slices: int
    remainder: int

    def has_key(self, key: bytes) -> bool:
        return zlib.crc32(key) % self.slices == self.remainder

    def has(self, member_id: str) -> bool:
        return self.has_key(member_id.encode())

    def halves(self) -> "tuple[_Slice, _Slice]":
        return _Slice(2 * self.slices, self.remainder), _Slice(2 * self.slices, self.remainder + self.slices)


@dataclass(slots=True)
class Account:
    """What the log says about one member whose state in Redis was read at one moment.

    Attributes
    ----------
    due : of the events that must be in that state: up to its fence, or before the watermarks read earlier.
    late : of those that came after, up to the end of the log as it was read later.
    lost : how many of the due ones the fence does not cover.
    waiting : how many of the late ones lie before the cut.
    places : the partitions that have the member's events, in the present epochs.
    """

    due: Folded
    late: Folded
    lost: int = 0
    waiting: int = 0
    places: set[Place] = field(default_factory=set)

    def whole(self) -> Folded:
        """All of it together."""
        state = states.encode(states.merge(self.due.value(), self.late.value()))
        return Folded(state, fences.merge(self.due.fence, self.late.fence))

    @property
    def is_spread(self) -> bool:
        """Whether a topic has the member in several partitions, so that the fence does not say how far the state is."""
        return len({place.topic for place in self.places}) < len(self.places)


def accounts(
    log: Log,
    there: Mapping[str, Fence],
    erased: Mapping[str, Fence],
    watermarks: Mapping[Place, int],
    cut: Mapping[Place, int],
    spans: Mapping[Place, Span],
    progress: Progress | None = None,
) -> dict[str, Account]:
    """Look at some members' events one by one.

    Parameters
    ----------
    there : member to the fence of its state in Redis.
    erased : member to the last events that were erased; they and those before count for nothing.
    watermarks : read before the states.
    cut : the end of each partition that counts for `waiting`.
    spans : what the log held after the states had been read.
    """
    wanted = {member_id.encode() for member_id in there}
    due, late = Folding(), Folding()
    found = {member_id: Account(Folded(), Folded()) for member_id in there}
    newest = {topic: history[-1].number for topic, history in log.epochs.items()}
    for arrival in log.arrivals(spans, wanted.__contains__, progress):
        topic, at, event = arrival
        member_id = event.member_id
        if fences.has_seen(erased.get(member_id, {}), topic, at):
            continue
        account, fence = found[member_id], there[member_id]
        place = Place(topic, at.partition)
        if at.epoch == newest[topic]:
            account.places.add(place)
        if fences.has_seen(fence, topic, at):
            due.add(arrival)
        elif at.offset < watermarks[place]:
            due.add(arrival)
            account.lost += topic not in fence or not _is_elsewhere(fence[topic], at)
        else:
            late.add(arrival)
            account.waiting += at.offset < cut[place]
    for member_id, folded in due.result().items():
        found[member_id].due = folded
    for member_id, folded in late.result().items():
        found[member_id].late = folded
    return found


def _is_elsewhere(last: Position, at: Position) -> bool:
    return last.epoch == at.epoch and last.partition != at.partition
