"""Re-retrieval: after a signal the member's vector is folded in with the snapshot's factors, and the best titles are written.

    state writer's thread     a batch's signals → the sorted sets in Redis → the queue
    this module's thread      queue → states → fold in → top k → fresh candidates under their fence → out of the sets

The queue only saves reading the sets: it is bounded, and what does not fit, what a crash interrupts and what a partition's
former owner left is found in the sets.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import redis
import redis.exceptions
from threadpoolctl import threadpool_limits

from nearline import metrics
from nearline.following import Batch
from nearline.records import Place
from nearline.retrieval.signal_sets import SignalSets, Waiting
from nearline.retrieval.signals import find_signals
from shared import fresh
from shared.arm_loading import ArmLoader
from shared.config import Config
from shared.errors import SnapshotError
from shared.fence import Fence
from shared.fresh import FreshStore, FreshWrite
from shared.retrieval import Factors
from shared.snapshots import SnapshotStore
from shared.state import MemberState
from shared.store import StateStore, StoredState

POLL_S = 1.0
"""How often the snapshot pointer is looked at."""
IDLE_S = 0.5
"""How long to wait for a signal, or for factors, before looking around again."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0

log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """A member in the queue; `since_s` is the monotonic time of the signal, None where another process saw it."""

    waiting: Waiting
    since_s: float | None


class Retrieval:
    """Retrieves for the members of this worker's partitions; a `Follower` of the state writer.

    Parameters
    ----------
    client : a connection to Redis; its calls may be repeated by redis-py.
    now_ms : the clock, in Unix milliseconds.
    """

    def __init__(self, config: Config, client: redis.Redis, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000):
        namespace, self._settings = config.redis.namespace, config.retrieval
        self._now_ms = now_ms
        self._states = StateStore(client, namespace)
        self._fresh = FreshStore(client, namespace, self._settings.expire_s)
        self._sets = SignalSets(client, namespace, self._settings.expire_s)
        self.loader = ArmLoader(SnapshotStore(client, namespace), config.online.arm, Factors.of, POLL_S)
        self._queue: OrderedDict[tuple[Place, str], Asked] = OrderedDict()
        self._leftovers: dict[Place, None] = {}  # partitions whose set may hold members that are not in the queue
        self._changed = threading.Condition()  # guards both
        self._served: OrderedDict[tuple[Place, str], Waiting] = OrderedDict()  # who has candidates of `_version`
        self._version: str | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="marquee-retrieval", daemon=True)

    @property
    def is_idle(self) -> bool:
        """Whether the arm serves a snapshot without factors, so that nobody needs to wait for it."""
        return self.loader.current is not None and self._factors() is None

    def _factors(self) -> Factors | None:
        loaded = self.loader.current
        return None if loaded is None else loaded.value

    def start(self) -> None:
        """Begin to retrieve, in a thread."""
        self.loader.start()
        self._thread.start()

    def stop(self, limit_s: float) -> None:
        """End, waiting at most so long; who is in the queue is in the sets too."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(limit_s)
        self.loader.close(limit_s)

    def on_assigned(self, topic: str, partitions: Iterable[int]) -> None:
        """Take over a topic's partitions: these and no others are this worker's, with whom their sets hold."""
        own = {Place(topic, partition) for partition in partitions}
        with self._changed:
            for key in [key for key in self._queue if key[0].topic == topic and key[0] not in own]:
                del self._queue[key]
            for place in [place for place in self._leftovers if place.topic == topic]:
                del self._leftovers[place]
            self._leftovers |= dict.fromkeys(own)
            self._changed.notify_all()

    def follow(self, batch: Batch) -> None:
        """Let the members of a batch's signals wait for their candidates. Called in the state writer's thread.

        Raises
        ------
        redis.RedisError : the signals are not in Redis; the batch must come again.
        """
        found = find_signals(batch.events, self._now_ms() - int(self._settings.lateness_s * 1000))
        if not found:
            return
        if self.is_idle:
            metrics.RETRIEVALS.labels("no-factors").inc(len(found))
            return
        asked: dict[Place, dict[str, int]] = {}
        for at in found:
            record, event = batch.records[at], batch.events[at]
            assert event is not None  # a signal is one that could be read
            asked.setdefault(Place(batch.source.topic, record.partition), {})[event.member_id] = record.offset
        self._sets.add(asked)
        self._enqueue(Waiting(place, *entry) for place, members in asked.items() for entry in members.items())

    def _enqueue(self, waiting: Iterable[Waiting]) -> None:
        now_s, dropped = time.monotonic(), 0
        with self._changed:
            for item in waiting:
                key = item.place, item.member_id
                known = self._queue.get(key)
                if known is None and len(self._queue) >= self._settings.queue_members:
                    self._leftovers[item.place] = None
                    dropped += 1
                else:
                    self._queue[key] = Asked(item, now_s if known is None else known.since_s)
            self._changed.notify_all()
        metrics.RETRIEVAL_DROPPED.inc(dropped)

    def _run(self) -> None:
        # The products here are small: with several threads they take twice the processor's time, which the stream needs.
        with threadpool_limits(1, "blas"):
            self._keep_serving()

    def _keep_serving(self) -> None:
        pending: list[Asked] = []
        pause_s = FIRST_PAUSE_S
        while not self._closed.is_set():
            factors = self._factors()
            if factors is None:
                self._closed.wait(IDLE_S)
                continue
            try:
                self._notice(factors.version)
                pending = pending or self._next()
                self._serve(factors, pending)
            except redis.exceptions.RedisError as error:
                log.warning("retrieval failed, trying again in %.2f s: %s", pause_s, error)
                self._closed.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pending, pause_s = [], FIRST_PAUSE_S

    def _notice(self, version: str) -> None:
        """With another snapshot, retrieve again for those served last: its own candidates may be older than their signals."""
        if version == self._version:
            return
        if self._served:
            again: dict[Place, dict[str, int]] = {}
            for waiting in self._served.values():
                again.setdefault(waiting.place, {})[waiting.member_id] = waiting.offset
            self._sets.add(again)
            self._enqueue(self._served.values())
            self._served.clear()
        self._version = version

    def _next(self) -> list[Asked]:
        """The next few members: of the queue, or of the sets when it is empty; none after a while without any."""
        limit = self._settings.batch_members
        with self._changed:
            if not self._queue and not self._leftovers:
                self._changed.wait(IDLE_S)
            found = [self._queue.popitem(last=False)[1] for _ in range(min(limit, len(self._queue)))]
            metrics.RETRIEVAL_QUEUE.set(len(self._queue))
            if found or not self._leftovers:
                return found
            place, _ = self._leftovers.popitem()  # before it is read, so that who is dropped meanwhile puts it back
        has_more = True
        try:
            left = self._sets.oldest(place, limit)
            has_more = len(left) == limit
        finally:
            if has_more:
                with self._changed:
                    self._leftovers[place] = None
        return [Asked(waiting, None) for waiting in left]

    def _serve(self, factors: Factors, asked: Sequence[Asked]) -> None:
        """Retrieve for some members, and let them go.

        Raises
        ------
        redis.RedisError : Redis failed; all of them are to be served again.
        """
        if not asked:
            return
        try:
            self._retrieve(factors, list(dict.fromkeys(item.waiting.member_id for item in asked)))
        except redis.exceptions.RedisError:
            raise
        except Exception:  # a fault in one batch must not end retrieval for all
            log.exception("retrieval failed for %d members; they are left to the nightly run", len(asked))
            metrics.RETRIEVALS.labels("failed").inc(len(asked))
        self._sets.remove(item.waiting for item in asked)
        now_s = time.monotonic()
        for waiting, since_s in asked:
            if since_s is not None:
                metrics.RETRIEVAL_SECONDS.observe(now_s - since_s)
            self._served[waiting.place, waiting.member_id] = waiting
            self._served.move_to_end((waiting.place, waiting.member_id))
            if len(self._served) > self._settings.queue_members:
                self._served.popitem(last=False)

    def _retrieve(self, factors: Factors, member_ids: list[str]) -> None:
        """Read states, fold in, write candidates: two round trips."""
        readable: list[tuple[str, StoredState, tuple[MemberState, Fence]]] = []
        for member_id, stored in zip(member_ids, self._states.read(member_ids), strict=True):
            try:
                readable.append((member_id, stored, stored.decode()))
            except SnapshotError as error:
                log.warning("no candidates for member %r: %s", member_id, error)
                metrics.RETRIEVALS.labels("unreadable").inc()
        made = factors.candidates([decoded for _, _, decoded in readable], self._settings.candidates, self._now_ms())
        writes = [
            FreshWrite(member_id, stored.fence, fresh.encode(candidates))
            for (member_id, stored, _), candidates in zip(readable, made, strict=True)
        ]
        for outcome in self._fresh.write(factors.version, writes):
            metrics.RETRIEVALS.labels(outcome).inc()
