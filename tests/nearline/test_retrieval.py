"""Re-retrieval on a real Redis: a finished play changes what is recommended, and no crash, zombie or flip loses or reverts it."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
import redis

from infra.local.stack import LocalStack
from nearline import metrics
from nearline.following import Batch
from nearline.records import Arrived, Place, Source
from nearline.retrieval.service import Retrieval
from nearline.retrieval.signal_sets import SignalSets, Waiting
from online import Recommender
from shared import events, fresh, histories, keys, store
from shared import fence as fences
from shared.config import Config
from shared.events import Feedback, Play
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY
from shared.fresh import FreshCandidates, FreshWrite, Outcome
from shared.snapshots import SnapshotStore
from shared.store import StateStore
from tests.online.invented import genre_vectors
from tests.online.plays import play, thumb, write_events
from tests.online.snapshot_builder import NOW_MS, BuiltSnapshot, build_snapshot, online_config, write_snapshot

pytestmark = pytest.mark.slow

PLAYS = Source("plays", 1, events.decode_play)
PLACE = Place("plays", 0)
ALPHA, REGULARISATION, TITLES = 0.01, 0.05, 300
WAIT_S = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def snapshot_with_factors(seed: int = 0) -> BuiltSnapshot:
    built = build_snapshot(TITLES, members=3, similar=10, seed=seed)
    built.arrays[FACTORS_ARRAY] = genre_vectors(built.titles, np.random.default_rng(seed))
    built.arrays[TERMS_ARRAY] = np.array([ALPHA, REGULARISATION, 1.0, 0.8, TITLES])
    return built


def finished(title_id: str, member_id: str = "m0", at_ms: int = NOW_MS - 60_000) -> Play:
    return msgspec.structs.replace(play(title_id, 0.97, at_ms=at_ms, member_id=member_id), kind="stop")


@dataclass
class World:
    """A namespace of a real Redis with a snapshot, and the retrievals started on it."""

    config: Config
    client: redis.Redis
    built: BuiltSnapshot
    started: list[Retrieval] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.config.redis.namespace

    def retrieval(self, start: bool = True, client: redis.Redis | None = None, **settings: int) -> Retrieval:
        own = msgspec.structs.replace(self.config, retrieval=msgspec.structs.replace(self.config.retrieval, **settings))
        made = Retrieval(own, client or self.client, now_ms=lambda: NOW_MS)
        if start:
            made.start()
            self.started.append(made)
        return made

    def happen(self, retrieval: Retrieval | None, *log: Play | Feedback) -> None:
        """Let events of one member come: into the state, and on to the follower."""
        write_events(self.client, self.namespace, log[0].member_id, *log)
        if retrieval is not None:
            retrieval.follow(self.batch(*log))

    def batch(self, *log: Play | Feedback) -> Batch:
        last = self.fence(log[0].member_id)["plays"].offset
        records = [Arrived(0, last, NOW_MS, None, None) for _ in log]
        return Batch(PLAYS, records, log, {})

    def fence(self, member_id: str) -> fences.Fence:
        return StateStore(self.client, self.namespace).read([member_id])[0].decode()[1]

    def fresh(self, member_id: str, version: str = "v1") -> FreshCandidates | None:
        return fresh.FreshStore(self.client, self.namespace, 60).read(version, member_id)

    def is_up_to_date(self, member_id: str, version: str = "v1") -> bool:
        found = self.fresh(member_id, version)
        return found is not None and found.fence == self.fence(member_id)

    def waiting(self) -> list[str]:
        return [entry.decode() for entry in self.client.zrange(keys.signals(self.namespace, "plays", 0), 0, -1)]


@pytest.fixture
def world(stack: LocalStack) -> Iterator[World]:
    config = online_config(stack.redis.url, f"t{uuid.uuid4().hex[:10]}")
    with store.connect(config.redis) as client:
        built = snapshot_with_factors()
        write_snapshot(client, config.redis.namespace, "v1", built)
        made = World(config, client, built)
        yield made
        for retrieval in made.started:
            retrieval.stop(5.0)


def expected(world: World, member_id: str) -> list[str]:
    """The best titles by the plain formula, in float64."""
    member_state, _ = StateStore(world.client, world.namespace).read([member_id])[0].decode()
    factors = world.built.arrays[FACTORS_ARRAY].astype(np.float64)
    weights = {int(title_id[1:]): weight / 0.8 for title_id, weight in histories.weights(member_state).items()}
    y, w = factors[list(weights)], np.array(list(weights.values()))
    strength = REGULARISATION * (w.sum() + ALPHA * TITLES)
    left = ALPHA * factors.T @ factors + strength * np.eye(factors.shape[1]) + (y * w[:, None]).T @ y
    scores = factors @ np.linalg.solve(left, w @ y)
    known = histories.known_titles(member_state)
    return [f"t{title}" for title in np.argsort(-scores) if f"t{title}" not in known]


def test_a_finished_play_changes_what_is_recommended(world: World) -> None:
    retrieval = world.retrieval()
    with Recommender(world.config) as recommender:
        world.happen(None, finished("t9", at_ms=NOW_MS - 90_000), thumb("t11", False))
        before = recommender.recommend("m0", 50, now_ms=NOW_MS)
        world.happen(retrieval, finished("t8"))
        until(lambda: world.is_up_to_date("m0"))
        after = recommender.recommend("m0", 50, now_ms=NOW_MS)
        page = recommender.page("m0", now_ms=NOW_MS)
    found = world.fresh("m0")
    assert found is not None
    retrieved = [f"t{title}" for title in found.titles]
    assert retrieved[:100] == expected(world, "m0")[:100]
    assert not {"t8", "t9", "t11"} & set(retrieved)
    assert [seed.title_id for seed in found.seeds] == ["t8", "t9"]
    assert {item.tier for item in before}.isdisjoint({"fresh"})
    assert [item.title_id for item in after] != [item.title_id for item in before]
    assert set(retrieved[:20]) & {item.title_id for item in after if item.tier in ("fresh", "live")}
    assert "fresh" in {item.tier for item in after}
    assert page.fallbacks == () and "fresh" in {cell.tier for row in page.rows for cell in row.cells}
    until(lambda: world.waiting() == [])


def test_a_member_without_precomputed_candidates_gets_fresh_ones(world: World) -> None:
    retrieval = world.retrieval()
    world.happen(retrieval, finished("t5", member_id="new"))
    until(lambda: world.is_up_to_date("new"))
    with Recommender(world.config) as recommender:
        page = recommender.page("new", now_ms=NOW_MS)
    assert page.fallbacks == ()
    assert "top-picks" in [row.key for row in page.rows]


def test_what_is_no_signal_asks_for_nothing(world: World) -> None:
    retrieval = world.retrieval()
    world.happen(retrieval, play("t8", 0.2))
    world.happen(retrieval, finished("t9", at_ms=NOW_MS - 3_600_000))  # an hour ago
    assert world.waiting() == []


def test_a_crash_before_the_refresh_leaves_it_to_the_next_owner(world: World) -> None:
    crashed = world.retrieval(start=False)
    for member_id in ("m0", "m1", "new"):
        world.happen(crashed, finished("t8", member_id=member_id))
    assert sorted(world.waiting()) == ["m0", "m1", "new"]
    successor = world.retrieval(batch_members=2)
    successor.on_assigned("plays", [1, 2])
    time.sleep(0.3)
    assert len(world.waiting()) == 3  # not this worker's partition
    successor.on_assigned("plays", [0, 1])
    until(lambda: world.waiting() == [])
    assert all(world.is_up_to_date(member_id) for member_id in ("m0", "m1", "new"))


def test_a_batch_that_comes_again_after_the_states_were_written_still_asks(world: World) -> None:
    world.happen(None, finished("t8"))  # the worker died here
    retrieval = world.retrieval()
    retrieval.follow(world.batch(finished("t8")))
    until(lambda: world.is_up_to_date("m0"))


class Paused:
    """Holds a retrieval between its reading of states and its writing of candidates."""

    def __init__(self, retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._write = retrieval._fresh.write
        monkeypatch.setattr(retrieval._fresh, "write", self.write)

    def write(self, version: str, writes: list[FreshWrite]) -> list[Outcome]:
        self.reached.set()
        assert self.go_on.wait(WAIT_S)
        return self._write(version, writes)


def test_a_zombie_does_not_put_older_candidates_in_the_place_of_newer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    zombie = world.retrieval()
    paused = Paused(zombie, monkeypatch)
    world.happen(zombie, finished("t8"))
    assert paused.reached.wait(WAIT_S)
    successor = world.retrieval()
    world.happen(successor, finished("t9"))
    until(lambda: world.is_up_to_date("m0"))
    overtaken = metrics.RETRIEVALS.labels("overtaken")._value.get()
    paused.go_on.set()
    until(lambda: metrics.RETRIEVALS.labels("overtaken")._value.get() == overtaken + 1)
    assert world.is_up_to_date("m0")


def test_who_asks_again_while_candidates_are_made_gets_newer_ones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    retrieval = world.retrieval()
    paused = Paused(retrieval, monkeypatch)
    world.happen(retrieval, finished("t8"))
    assert paused.reached.wait(WAIT_S)
    world.happen(retrieval, finished("t9"))
    retrieval._closed.set()  # and the worker ends right after what it has in hand
    paused.go_on.set()
    retrieval.stop(WAIT_S)
    assert world.waiting() == ["m0"]
    world.retrieval().on_assigned("plays", [0])
    until(lambda: world.is_up_to_date("m0") and world.waiting() == [])


def test_a_flip_in_between_retrieves_again_with_the_new_snapshot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    retrieval = world.retrieval()
    world.happen(retrieval, finished("t5", member_id="m1"))
    until(lambda: world.is_up_to_date("m1"))
    paused = Paused(retrieval, monkeypatch)
    world.happen(retrieval, finished("t8"))
    assert paused.reached.wait(WAIT_S)
    world.built = snapshot_with_factors(seed=1)
    write_snapshot(world.client, world.namespace, "v2", world.built)
    retrieval.loader.refresh()
    paused.go_on.set()
    until(lambda: world.is_up_to_date("m0", "v2") and world.is_up_to_date("m1", "v2"))
    found = world.fresh("m0", "v2")
    assert found is not None
    assert [f"t{title}" for title in found.titles[:50]] == expected(world, "m0")[:50]
    with Recommender(world.config) as recommender:
        page = recommender.page("m0", now_ms=NOW_MS)
        assert (page.snapshot, page.fallbacks) == ("v2", ())
        assert "fresh" in {cell.tier for row in page.rows for cell in row.cells}
    SnapshotStore(world.client, world.namespace).rollback("default")
    with Recommender(world.config) as recommender:
        assert (recommender.page("m0", now_ms=NOW_MS).snapshot, recommender.page("m0").fallbacks) == ("v1", ())


def test_a_snapshot_without_factors_leaves_retrieval_idle_until_one_has_some(world: World) -> None:
    write_snapshot(world.client, world.namespace, "v0", build_snapshot(TITLES, members=3, similar=10))
    retrieval = world.retrieval()
    until(lambda: retrieval.is_idle)
    counted = metrics.RETRIEVALS.labels("no-factors")._value.get()
    world.happen(retrieval, finished("t8"))
    assert (world.waiting(), metrics.RETRIEVALS.labels("no-factors")._value.get()) == ([], counted + 1)
    SnapshotStore(world.client, world.namespace).flip("default", "v1")
    until(lambda: not retrieval.is_idle)
    world.happen(retrieval, finished("t9"))
    until(lambda: world.is_up_to_date("m0"))


def test_what_does_not_fit_the_queue_waits_in_redis(world: World) -> None:
    retrieval = world.retrieval(start=False, queue_members=2, batch_members=2)
    dropped = metrics.RETRIEVAL_DROPPED._value.get()
    members = [f"x{number}" for number in range(7)]
    for member_id in members:
        world.happen(retrieval, finished("t8", member_id=member_id))
    assert len(retrieval._queue) == 2
    assert metrics.RETRIEVAL_DROPPED._value.get() == dropped + 5
    world.started.append(retrieval)
    retrieval.start()
    until(lambda: world.waiting() == [])
    assert all(world.is_up_to_date(member_id) for member_id in members)


def test_an_unreadable_state_costs_nobody_else_anything(world: World) -> None:
    waiting = world.retrieval(start=False)
    for member_id in ("m0", "m1", "m2"):
        world.happen(waiting, finished("t8", member_id=member_id))
    world.client.hset(keys.state(world.namespace, "m1"), "s", b"\x01garbage")
    world.retrieval().on_assigned("plays", [0])
    until(lambda: world.waiting() == [])
    assert world.is_up_to_date("m0") and world.is_up_to_date("m2") and world.fresh("m1") is None


def test_a_stalled_redis_delays_and_loses_nothing(world: World) -> None:
    impatient = msgspec.structs.replace(world.config.redis, timeout_s=0.05)
    with store.connect(impatient) as client:
        retrieval = world.retrieval(client=client)
        until(lambda: retrieval.loader.current is not None)
        world.happen(None, finished("t8"))
        batch = world.batch(finished("t8"))
        world.client.client_pause(700, all=True)
        with pytest.raises(redis.exceptions.RedisError):  # the batch is to come again
            retrieval.follow(batch)
        time.sleep(1.0)
        retrieval.follow(batch)
        world.client.client_pause(700, all=True)  # while it reads or writes
        until(lambda: world.is_up_to_date("m0") and world.waiting() == [])


def test_only_those_who_have_not_asked_again_leave_the_set(world: World) -> None:
    sets = SignalSets(world.client, world.namespace, 60)
    sets.add({PLACE: {"a": 5, "b": 6}, Place("feedback", 1): {"a": 1}})
    taken = sets.oldest(PLACE, 10)
    assert taken == [Waiting(PLACE, "a", 5), Waiting(PLACE, "b", 6)]
    sets.add({PLACE: {"a": 9}})
    sets.remove([*taken, Waiting(Place("feedback", 1), "a", 1)])
    assert sets.oldest(PLACE, 10) == [Waiting(PLACE, "a", 9)]
    assert sets.oldest(Place("feedback", 1), 10) == []
    assert 0 < world.client.ttl(keys.signals(world.namespace, "plays", 0)) <= 60
