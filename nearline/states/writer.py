"""The worker's one step: a batch of records in, its effect in Redis out; then the caller acknowledges to Kafka.

    decode → drop what the states have seen → fold → write under the fence → followers → dead letters → watermark

Knows nothing of Faust and asyncio: it is called from one thread, by the plays reader and by the feedback agent. When `write`
returns, everything in the batch is in Redis (or on the dead-letter topic); when it raises, nothing may be acknowledged, and
giving it the batch again does no harm.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from nearline import metrics
from nearline.dead_letters.letters import DeadLetter, DeadLetters
from nearline.following import Batch, Follower
from nearline.records import Place, Record, Source, offsets_after
from nearline.states.cache import Held, StateCache
from nearline.states.watermarks import LostWritesError, Watermarks
from nearline.watching import flushes
from shared import fence as fences
from shared.errors import ConflictError, EventError
from shared.events import Feedback, Play
from shared.fence import Fence, Position
from shared.store import StateStore, StateWrite

FOLD_ATTEMPTS = 20
"""How often a member's events are folded again because another writer was faster."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What some records say.

    Attributes
    ----------
    events : of each record, None where it cannot be read.
    by_member : member id to the places of its events in `events`, in their order.
    """

    events: list[Play | Feedback | None]
    by_member: dict[str, list[int]]
    unreadable: list[DeadLetter]


class StateWriter:
    """Folds records into the members' states in Redis.

    Parameters
    ----------
    store : the member states.
    cache_bytes : memory for states that are kept between batches.
    followers : what else happens with each batch.
    """

    def __init__(
        self,
        store: StateStore,
        watermarks: Watermarks,
        dead_letters: DeadLetters,
        cache_bytes: int,
        followers: Sequence[Follower] = (),
    ) -> None:
        self._store = store
        self._watermarks = watermarks
        self._dead_letters = dead_letters
        self._cache = StateCache(cache_bytes)
        self._followers = followers

    def write(self, source: Source, records: Sequence[Record]) -> dict[Place, int]:
        """Bring the effect of some records of one topic into Redis, each partition's in the order of its offsets.

        Returns
        -------
        For each partition the offset after its last record: what may now be committed.

        Raises
        ------
        LostWritesError : Redis came back with less than was written to it.
        ConflictError : another writer kept moving a member's state.
        redis.RedisError, UnavailableError : Redis or Kafka failed; nothing may be acknowledged, the batch may be repeated.
        """
        began_s = time.perf_counter()
        reached = offsets_after(source.topic, records)
        try:
            self._watermarks.check(reached)
            decoded = decode(source, records)
            changed, seen = self._apply(source, records, decoded)
            batch = Batch(source, records, decoded.events, changed)
            for follower in self._followers:
                follower.follow(batch)
            self._dead_letters.send(decoded.unreadable)
            self._watermarks.advance(reached)
        except BaseException:
            # Redis may have lost what this batch has written so far: only what a watermark vouches for is held for known.
            self._cache.clear()
            raise
        metrics.SEEN.labels(source.topic).inc(seen)
        flushes.note(source.topic, records, len(records) - len(decoded.unreadable) - seen, began_s)
        return reached

    def _apply(self, source: Source, records: Sequence[Record], decoded: Decoded) -> tuple[dict[str, Held], int]:
        """Fold and write; the states that were written, and how many events the states had seen already."""
        held = self._take(list(decoded.by_member))
        changed: dict[str, Held] = {}
        pending, seen = list(decoded.by_member), 0
        for _ in range(FOLD_ATTEMPTS):
            writes: list[StateWrite] = []
            for member_id in pending:
                own = held[member_id]
                write, dropped = fold(member_id, own, source, records, decoded.events, decoded.by_member[member_id])
                seen += dropped
                if write is None:
                    self._cache.put(member_id, own)
                else:
                    writes.append(write)
            pending = self._write(writes, held, changed)
            if not pending:
                return changed, seen
        raise ConflictError(f"the state of member {pending[0]!r} kept being moved by another writer")

    def _take(self, member_ids: list[str]) -> dict[str, Held]:
        """The members' states, from memory or from Redis. Until they are put back, a failure forgets them."""
        held: dict[str, Held] = {}
        missing: list[str] = []
        for member_id in member_ids:
            known = self._cache.take(member_id)
            if known is None:
                missing.append(member_id)
            else:
                held[member_id] = known
        metrics.CACHE_HITS.inc(len(held))
        if missing:
            metrics.CACHE_MISSES.inc(len(missing))
            for member_id, stored in zip(missing, self._store.read(missing), strict=True):
                held[member_id] = Held.of(stored)
        return held

    def _write(self, writes: list[StateWrite], held: dict[str, Held], changed: dict[str, Held]) -> list[str]:
        """Write, keep what was written, and take what is there instead into `held`; the members where that was so."""
        if not writes:
            return []
        moved: list[str] = []
        for write, there in zip(writes, self._store.write(writes), strict=True):
            member_id = write.member_id
            if there is None:
                changed[member_id] = own = held[member_id]
                self._cache.put(member_id, own)
                continue
            now = Held.of(there)
            _must_be_ahead(member_id, fences.decode(write.fence_before), now.fence)
            held[member_id] = now
            moved.append(member_id)
        metrics.CONFLICTS.inc(len(moved))
        return moved


def decode(source: Source, records: Sequence[Record]) -> Decoded:
    """Read some records, and sort them by member."""
    events: list[Play | Feedback | None] = []
    by_member: defaultdict[str, list[int]] = defaultdict(list)
    unreadable: list[DeadLetter] = []
    read = source.decode
    for number, record in enumerate(records):
        key, value = record.key, record.value
        try:
            event = read(value, key, record.timestamp)
        except EventError as error:
            unreadable.append(DeadLetter.of_record(source, record, str(error)))
            events.append(None)
            continue
        events.append(event)
        by_member[event.member_id].append(number)
    return Decoded(events, by_member, unreadable)


def fold(
    member_id: str,
    held: Held,
    source: Source,
    records: Sequence[Record],
    events: Sequence[Play | Feedback | None],
    places: list[int],
) -> tuple[StateWrite | None, int]:
    """Fold a member's events of one topic into the state held, and move its fence to the last of them.

    Parameters
    ----------
    places : where in `records` and `events` the member's are.

    Returns
    -------
    What to write, or None when the state had seen them all; and how many it had seen.
    """
    topic, epoch = source.topic, source.epoch
    first, last = records[places[0]], records[places[-1]]
    reached = held.fence.get(topic)
    if _is_all_fresh(reached, epoch, first, last):
        fresh = [events[place] for place in places]
        fence = {**held.fence, topic: Position(epoch, last.partition, last.offset)}
    else:
        fresh, fence = [], dict(held.fence)
        for place in places:
            at = Position(epoch, records[place].partition, records[place].offset)
            if reached is None or at.is_after(reached):
                fresh.append(events[place])
            fences.advance(fence, topic, at)
        if not fresh:
            return None, len(places)
    blob = held.accumulator.fold(fresh)  # type: ignore[arg-type]  # `places` leads to events only
    before, held.fence, held.fence_bytes = held.fence_bytes, fence, fences.encode(fence)
    return StateWrite(member_id, before, held.fence_bytes, blob), len(places) - len(fresh)


def _is_all_fresh(reached: Position | None, epoch: int, first: Record, last: Record) -> bool:
    """Whether records from `first` to `last` are all new to a state that has reached so far: what is so nearly always."""
    if reached is None:
        return first.partition == last.partition
    return reached.partition == first.partition == last.partition and (reached.epoch, reached.offset) < (epoch, first.offset)


def _must_be_ahead(member_id: str, ours: Fence, there: Fence) -> None:
    """A state that somebody else moved is ahead of the one read before. One that is behind was lost and restored."""
    for topic, position in ours.items():
        now = there.get(topic)
        if now is None or now.is_behind(position):
            raise LostWritesError(
                f"Redis lost its newest writes: the state of member {member_id!r} went back from {position} of {topic} "
                f"to {now}; start the worker again, and it resumes from the watermark"
            )
