"""The state writer on a real Redis and Kafka: repeats, competing writers, and a Redis that lost its newest writes."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from nearline import metrics
from nearline.dead_letters.letters import DeadLetters
from nearline.records import Arrived, Place, Source
from nearline.states.watermarks import LostWritesError, Watermarks
from nearline.states.writer import StateWriter
from shared import events, keys, state, store
from shared.config import Config
from shared.events import Feedback, Play
from shared.state import EMPTY
from shared.store import StateStore
from tests.nearline.event_log import START_MS, play

pytestmark = pytest.mark.slow

PLAYS = Source("plays", 1, events.decode_play)
FEEDBACK = Source("feedback", 1, events.decode_feedback)


def arrived(offset: int, event: Play | Feedback, partition: int = 0) -> Arrived:
    return Arrived(partition, offset, START_MS, event.member_id.encode(), events.encode(event))


@dataclass
class Bench:
    """A state writer with what it writes to."""

    config: Config
    client: store.redis.Redis

    def writer(self) -> StateWriter:
        space = self.config.redis.namespace
        marks = Watermarks(self.client, space, {"plays": 1, "feedback": 1})
        return StateWriter(StateStore(self.client, space), marks, DeadLetters(self.config.kafka), 1 << 20)

    def state(self, member: str) -> bytes:
        return StateStore(self.client, self.config.redis.namespace).read([member])[0].state


@pytest.fixture
def bench(config: Config) -> Iterator[Bench]:
    with store.connect(config.redis) as client:
        yield Bench(config, client)


def folded(*log: Play | Feedback) -> bytes:
    return state.encode(state.fold(EMPTY, log))


def test_a_batch_given_twice_counts_once(bench: Bench) -> None:
    writer = bench.writer()
    batch = [arrived(at, play("a", at, title=f"t{at}")) for at in range(5)]
    assert writer.write(PLAYS, batch) == {Place("plays", 0): 5}
    seen = metrics.SEEN.labels("plays")._value.get()
    writer.write(PLAYS, batch)
    bench.writer().write(PLAYS, batch)  # and by a worker that knows nothing
    assert bench.state("a") == folded(*[play("a", at, title=f"t{at}") for at in range(5)])
    assert metrics.SEEN.labels("plays")._value.get() == seen + 10


def test_gaps_in_the_offsets_are_no_loss(bench: Bench) -> None:
    """As compaction and aborted transactions leave them."""
    log = [play("a", at, title=f"t{at}", at_ms=START_MS + at) for at in (0, 5, 9, 40)]
    batch = [arrived(at, event) for at, event in zip((0, 5, 9, 40), log, strict=True)]
    assert bench.writer().write(PLAYS, batch[:2]) == {Place("plays", 0): 6}
    assert bench.writer().write(PLAYS, batch[1:]) == {Place("plays", 0): 41}  # comes again with a part that was seen
    assert bench.state("a") == folded(*log)


def test_two_writers_of_one_member_lose_nothing(bench: Bench) -> None:
    plays, feedback = bench.writer(), bench.writer()
    log: list[Play | Feedback] = []
    conflicts = metrics.CONFLICTS._value.get()
    for at in range(6):
        watched = play("a", at, title=f"t{at}", at_ms=START_MS + at)
        thumb = Feedback(schema=1, event_id=f"f{at}", member_id="a", title_id=f"t{at}", kind="thumbs_up", at_ms=START_MS + at)
        plays.write(PLAYS, [arrived(at, watched)])
        feedback.write(FEEDBACK, [arrived(at, thumb)])
        log += [watched, thumb]
    assert bench.state("a") == folded(*log)
    assert metrics.CONFLICTS._value.get() > conflicts  # each write of one made the other's memory of the member stale


def test_states_installed_from_the_log_are_kept_when_the_worker_had_the_member_in_memory(bench: Bench) -> None:
    writer = bench.writer()
    writer.write(PLAYS, [arrived(0, play("a", 0, title="live"))])
    imported = play("a", 99, title="imported", at_ms=START_MS - 5)
    states = StateStore(bench.client, bench.config.redis.namespace)
    assert states.install([("a", folded(imported), b"")]) == 1
    assert states.install([("a", folded(imported), b"")]) == 0
    writer.write(PLAYS, [arrived(1, play("a", 1, title="later"))])
    assert bench.state("a") == folded(play("a", 0, title="live"), imported, play("a", 1, title="later"))


def test_watermarks_only_rise_and_decide_where_to_start(bench: Bench) -> None:
    space = bench.config.redis.namespace
    place = Place("plays", 2)
    ours, zombie = (Watermarks(bench.client, space, {"plays": 1}) for _ in range(2))
    assert ours.resume(place, 40) == 0  # a commit that Redis knows nothing of
    ours.advance({place: 50})
    zombie.advance({place: 30})
    assert ours.resume(place, 60) == 50
    assert ours.resume(place, 45) == 45
    assert ours.resume(place, None) == 0
    assert Watermarks(bench.client, space, {"plays": 2}).resume(place, 60) == 0  # the topic was created anew


def test_a_redis_that_lost_its_newest_writes_is_noticed(bench: Bench) -> None:
    space = bench.config.redis.namespace
    writer = bench.writer()
    writer.write(PLAYS, [arrived(0, play("a", 0))])
    before = bench.client.hgetall(keys.state(space, "a")), bench.client.hgetall(keys.watermark(space, "plays"))
    writer.write(PLAYS, [arrived(1, play("a", 1, title="lost"))])
    bench.client.hset(keys.state(space, "a"), mapping=before[0])
    with pytest.raises(LostWritesError, match="member 'a' went back"):
        writer.write(PLAYS, [arrived(2, play("a", 2))])
    bench.client.hset(keys.watermark(space, "plays"), mapping=before[1])
    with pytest.raises(LostWritesError, match="watermark of plays/0 went back from 2 to 1"):
        writer.write(PLAYS, [arrived(2, play("b", 2))])


def test_a_flushed_script_cache_does_no_harm(bench: Bench) -> None:
    writer = bench.writer()
    writer.write(PLAYS, [arrived(0, play("a", 0))])
    bench.client.script_flush()
    writer.write(PLAYS, [arrived(1, play("a", 1, title="t2"))])
    assert bench.state("a") == folded(play("a", 0), play("a", 1, title="t2"))
