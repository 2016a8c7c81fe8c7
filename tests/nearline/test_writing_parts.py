"""The pure parts of the nearline layer: decoding and folding a batch, the cache, dead letters, readiness, the watchdog."""

import base64

import pytest

from nearline.dead_letters import letters as dead_letters
from nearline.dead_letters.letters import DeadLetter
from nearline.records import Arrived, Source
from nearline.states import cache as state_cache
from nearline.states import writer as state_writer
from nearline.states.cache import Held, StateCache
from nearline.watching import watchdog
from nearline.watching.readiness import Readiness
from nearline.watching.watchdog import Progress
from shared import events, state
from shared.fence import Position
from shared.state import EMPTY
from shared.store import MISSING, StateWrite, StoredState
from tests.nearline.event_log import START_MS, play

PLAYS = Source("plays", 3, events.decode_play)


def arrived(offset: int, event: events.Play, partition: int = 0) -> Arrived:
    return Arrived(partition, offset, START_MS, event.member_id.encode(), events.encode(event))


def test_decoding_groups_by_member_in_order_and_puts_the_unreadable_aside() -> None:
    records = [
        arrived(5, play("a", 1)),
        Arrived(0, 6, START_MS, b"a", b"{not json"),
        arrived(7, play("b", 2)),
        Arrived(0, 8, START_MS, None, events.encode(play("a", 3))),
        Arrived(0, 9, START_MS, b"other", events.encode(play("a", 4))),
        Arrived(0, 10, START_MS, b"a", b"[" * 60_000),
        Arrived(0, 11, START_MS, b"a", b"{" + b'"x":{' * 10_000),
        arrived(12, play("a", 5)),
    ]
    decoded = state_writer.decode(PLAYS, records)
    assert {member: [records[at].offset for at in found] for member, found in decoded.by_member.items()} == {
        "a": [5, 12],
        "b": [7],
    }
    assert [None if event is None else event.event_id for event in decoded.events] == ["p1", None, "p2", *[None] * 4, "p5"]
    letters = [(letter.epoch, letter.partition, letter.offset) for letter in decoded.unreadable]
    assert letters == [(3, 0, at) for at in (6, 8, 9, 10, 11)]
    assert all(letter.reason for letter in decoded.unreadable)


def test_a_clock_that_is_far_ahead_of_the_arrival_makes_a_dead_letter() -> None:
    day_ms = events.AHEAD_LIMIT_MS
    decoded = state_writer.decode(PLAYS, [arrived(at, play("a", at, at_ms=START_MS + day_ms + at)) for at in (0, 1)])
    assert [letter.offset for letter in decoded.unreadable] == [1]
    assert "a clock is wrong" in decoded.unreadable[0].reason


def test_deep_nesting_in_an_unknown_field_is_unreadable_and_not_fatal() -> None:
    whole = events.encode(play("a", 1))
    deep = whole[:-1] + b',"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    decoded = state_writer.decode(PLAYS, [Arrived(0, 1, START_MS, b"a", deep)])
    assert not decoded.by_member
    assert len(decoded.unreadable) == 1


def fold(held: Held, records: list[Arrived], source: Source = PLAYS) -> tuple[StateWrite | None, int]:
    """One member's records, folded as the writer does."""
    decoded = state_writer.decode(source, records)
    return state_writer.fold("a", held, source, records, decoded.events, decoded.by_member["a"])


def test_folding_drops_what_the_fence_has_seen() -> None:
    log = [play("a", offset, at_ms=START_MS + offset) for offset in range(6)]
    records = [arrived(offset, event) for offset, event in enumerate(log)]
    held = Held.of(MISSING)
    write, seen = fold(held, records[:4])
    assert write == StateWrite("a", b"", b"plays=3:0:3", state.encode(state.fold(EMPTY, log[:4])))
    assert seen == 0
    write, seen = fold(held, records)
    assert write == StateWrite("a", b"plays=3:0:3", b"plays=3:0:5", state.encode(state.fold(EMPTY, log)))
    assert (held.fence, held.fence_bytes, seen) == ({"plays": Position(3, 0, 5)}, b"plays=3:0:5", 4)
    assert fold(held, records) == (None, 6)


def test_a_topic_that_was_created_anew_is_not_taken_for_seen() -> None:
    held = Held.of(MISSING)
    fold(held, [arrived(900, play("a", 1))], Source("plays", 1, events.decode_play))
    anew, seen = fold(held, [arrived(0, play("a", 2))], Source("plays", 2, events.decode_play))
    assert anew is not None
    assert seen == 0


def test_a_member_whose_producers_choose_partitions_differently_loses_nothing() -> None:
    held = Held.of(MISSING)
    first, second, third = (play("a", number, title=f"t{number}") for number in range(3))
    fold(held, [arrived(900, first, partition=1)])
    fold(held, [arrived(7, second, partition=2)])
    write, _ = fold(held, [arrived(901, third, partition=1), arrived(7, second, partition=2)])
    assert write is not None
    assert write.state == state.encode(state.fold(EMPTY, [first, second, third]))


def test_the_other_topics_of_a_fence_stay() -> None:
    held = Held.of(StoredState(state.encode(EMPTY), b"feedback=1:0:4"))
    write, _ = fold(held, [arrived(1, play("a", 1))])
    assert write is not None
    assert (write.fence_before, write.fence) == (b"feedback=1:0:4", b"feedback=1:0:4;plays=3:0:1")


def test_the_cache_keeps_the_most_recently_used() -> None:
    held = Held.of(MISSING)
    cache = StateCache(2 * state_cache.BYTES_PER_MEMBER)
    cache.put("a", held)
    cache.put("b", held)
    assert cache.take("a") is held
    cache.put("a", held)
    cache.put("c", held)
    assert (cache.take("a"), cache.take("b"), cache.take("c"), len(cache)) == (held, None, held, 0)


def test_the_cache_is_bounded_in_bytes_and_a_taken_state_is_gone() -> None:
    cache = StateCache(100_000)
    for number in range(50):
        held = Held.of(MISSING)
        held.accumulator.fold([play("a", at, title=f"t{at}") for at in range(number)])
        cache.put(f"m{number}", held)
    assert 0 < len(cache) < 50
    assert cache.take("m49") is not None
    assert cache.take("m49") is None


def test_a_dead_letter_says_where_why_and_what() -> None:
    value = b"\xff" * (dead_letters.KEPT_BYTES + 10)
    letter = DeadLetter.of("plays", 2, 1, 77, key=None, value=value, reason="no key")
    read = dead_letters.decode(dead_letters.encode(letter))
    assert read == letter
    assert (read.topic, read.epoch, read.partition, read.offset, read.reason) == ("plays", 2, 1, 77, "no key")
    assert read.key is None
    assert read.value_bytes == len(value)
    assert base64.b64decode(read.value or "") == value[: dead_letters.KEPT_BYTES]


def test_readiness_speaks_once_when_all_topics_are_shared_out() -> None:
    said: list[str] = []
    readiness = Readiness(["plays", "feedback"], said.append)
    readiness.assigned("plays", [0, 2])
    assert not said
    readiness.assigned("feedback", [])
    readiness.assigned("plays", [1])
    assert said == ["ready: feedback none, plays 0/2"]


def test_a_worker_without_lag_is_not_stalled_and_one_that_stands_still_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now_s)
    progress = Progress()
    now_s = 131.0
    progress.beat(lag=0)
    assert progress.stall(30.0) is None
    progress.beat(lag=5)
    now_s = 150.0
    progress.flushed()
    now_s = 160.0
    progress.beat(lag=5)
    now_s = 179.0
    assert progress.stall(30.0) is None
    progress.alive()
    now_s = 181.0
    assert "no progress" in (progress.stall(30.0) or "")
    progress.flushed()
    now_s = 210.0
    progress.flushed()
    assert "event loop" in (progress.stall(30.0) or "")
