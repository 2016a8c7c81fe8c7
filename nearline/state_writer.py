"""The worker's one step: a batch of records in, its effect in Redis out; then the caller acknowledges to Kafka.

    decode → drop what the states have seen → fold → write under the fence → dead letters → watermark

Knows nothing of Faust and asyncio: it is called from one thread, by the plays reader and by the feedback agent. When `write`
returns, everything in the batch is in Redis (or on the dead-letter topic); when it raises, nothing may be acknowledged, and
giving it the batch again does no harm.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearline import metrics
from nearline.dead_letters import DeadLetter, DeadLetters
from nearline.records import Place, Record
from nearline.state_cache import Held, StateCache
from nearline.watermarks import LostWritesError, Watermarks
from shared import fence as fences
from shared import state as states
from shared.errors import ConflictError, EventError
from shared.events import Feedback, Play
from shared.fence import Fence, Position
from shared.store import StateStore, StateWrite

FOLD_ATTEMPTS = 20
"""How often a member's events are folded again because another writer was faster."""

log = logging.getLogger(__name__)

Decode = Callable[[bytes | None, bytes | None], Play | Feedback]
Arrival = tuple[Position, Play | Feedback]


@dataclass(frozen=True, slots=True)
class Source:
    """A topic that states are made from."""

    topic: str
    epoch: int
    decode: Decode


class StateWriter:
    """Folds records into the members' states in Redis.

    Parameters
    ----------
    store : the member states.
    cached_members : how many states to keep in memory.
    """

    def __init__(self, store: StateStore, watermarks: Watermarks, dead_letters: DeadLetters, cached_members: int) -> None:
        self._store = store
        self._watermarks = watermarks
        self._dead_letters = dead_letters
        self._cache = StateCache(cached_members)

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
        reached = {Place(source.topic, record.partition): record.offset + 1 for record in records}
        self._watermarks.check(reached)
        arrivals, unreadable = decode(source, records)
        seen = self._apply(source.topic, arrivals)
        self._dead_letters.send(unreadable)
        self._watermarks.advance(reached)
        metrics.EVENTS.labels(source.topic).inc(len(records) - len(unreadable) - seen)
        metrics.SEEN.labels(source.topic).inc(seen)
        metrics.DEAD_LETTERS.labels(source.topic).inc(len(unreadable))
        metrics.BATCHES.labels(source.topic).inc()
        metrics.BATCH_SECONDS.labels(source.topic).observe(time.perf_counter() - began_s)
        for letter in unreadable[:3]:
            log.warning("dead letter %s/%d@%d: %s", letter.topic, letter.partition, letter.offset, letter.reason)
        return reached

    def _apply(self, topic: str, arrivals: dict[str, list[Arrival]]) -> int:
        """Fold and write; how many events the states had seen already."""
        held = self._read(list(arrivals))
        pending, seen = arrivals, 0
        for _ in range(FOLD_ATTEMPTS):
            folded: dict[str, Held] = {}
            writes: list[StateWrite] = []
            for member_id, events in pending.items():
                before = held[member_id]
                after, dropped = fold(before, topic, events)
                seen += dropped
                if after is not None:
                    folded[member_id] = after
                    blob = states.encode(after.state)
                    writes.append(StateWrite(member_id, before.fence_bytes, after.fence_bytes, blob))
            moved = self._write(writes, folded, held)
            if not moved:
                return seen
            pending = {member_id: arrivals[member_id] for member_id in moved}
        raise ConflictError(f"the state of member {next(iter(pending))!r} kept being moved by another writer")

    def _read(self, member_ids: list[str]) -> dict[str, Held]:
        held: dict[str, Held] = {}
        missing: list[str] = []
        for member_id in member_ids:
            known = self._cache.get(member_id)
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

    def _write(self, writes: list[StateWrite], folded: dict[str, Held], held: dict[str, Held]) -> list[str]:
        """Write, remember what was written, and put what is there instead into `held`; the members where that was so."""
        if not writes:
            return []
        moved: list[str] = []
        for write, there in zip(writes, self._store.write(writes), strict=True):
            if there is None:
                self._cache.put(write.member_id, folded[write.member_id])
                continue
            now = Held.of(there)
            _must_be_ahead(write.member_id, held[write.member_id].fence, now.fence)
            held[write.member_id] = now
            moved.append(write.member_id)
        metrics.CONFLICTS.inc(len(moved))
        return moved


def decode(source: Source, records: Sequence[Record]) -> tuple[dict[str, list[Arrival]], list[DeadLetter]]:
    """Records to the events of each member in the order they came, and what cannot be read."""
    arrivals: dict[str, list[Arrival]] = {}
    unreadable: list[DeadLetter] = []
    topic, epoch, read = source.topic, source.epoch, source.decode
    for record in records:
        key, value = record.key, record.value
        try:
            event = read(value, key)
        except EventError as error:
            place = (topic, epoch, record.partition, record.offset)
            unreadable.append(DeadLetter.of(*place, key=key, value=value, reason=str(error)))
            continue
        arrival = (Position(epoch, record.partition, record.offset), event)
        known = arrivals.get(event.member_id)
        if known is None:
            arrivals[event.member_id] = [arrival]
        else:
            known.append(arrival)
    return arrivals, unreadable


def fold(before: Held, topic: str, arrivals: Sequence[Arrival]) -> tuple[Held | None, int]:
    """A member's state after some events of one topic.

    Returns
    -------
    The state with its fence moved to the last event, or None when it had seen them all; and how many it had seen.
    """
    fresh = [event for at, event in arrivals if not fences.has_seen(before.fence, topic, at)]
    if not fresh:
        return None, len(arrivals)
    fence = dict(before.fence)
    for at, _ in arrivals:
        fences.advance(fence, topic, at)
    after = Held(states.fold(before.state, fresh), fence, fences.encode(fence))
    return after, len(arrivals) - len(fresh)


def _must_be_ahead(member_id: str, ours: Fence, there: Fence) -> None:
    """A state that somebody else moved is ahead of the one read before. One that is behind was lost and restored."""
    for topic, position in ours.items():
        now = there.get(topic)
        if now is None or position.is_after(now):
            raise LostWritesError(
                f"Redis lost its newest writes: the state of member {member_id!r} went back from {position} of {topic} "
                f"to {now}; start the worker again, and it resumes from the watermark"
            )
