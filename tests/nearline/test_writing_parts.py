"""The pure parts of the nearline layer: decoding and folding a batch, the cache, dead letters, readiness, the watchdog."""

import base64
from dataclasses import dataclass

import pytest

from nearline import dead_letters, state_writer, watchdog
from nearline.dead_letters import DeadLetter
from nearline.readiness import Readiness
from nearline.state_cache import Held, StateCache
from nearline.state_writer import Source
from nearline.watchdog import Progress
from shared import events, fence, state
from shared.fence import Position
from shared.state import EMPTY
from shared.store import MISSING, StoredState
from tests.nearline.event_log import play

PLAYS = Source("plays", 3, events.decode_play)


@dataclass(frozen=True)
class Arrived:
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def arrived(offset: int, event: events.Play, partition: int = 0) -> Arrived:
    return Arrived(partition, offset, event.member_id.encode(), events.encode(event))


def test_decoding_groups_by_member_in_order_and_puts_the_unreadable_aside() -> None:
    records = [
        arrived(5, play("a", 1)),
        Arrived(0, 6, b"a", b"{not json"),
        arrived(7, play("b", 2)),
        Arrived(0, 8, None, events.encode(play("a", 3))),
        Arrived(0, 9, b"other", events.encode(play("a", 4))),
        Arrived(0, 10, b"a", b"[" * 60_000),
        Arrived(0, 11, b"a", b"{" + b'"x":{' * 10_000),
        arrived(12, play("a", 5)),
    ]
    arrivals, unreadable = state_writer.decode(PLAYS, records)
    assert {member: [(at.offset, event.event_id) for at, event in found] for member, found in arrivals.items()} == {
        "a": [(5, "p1"), (12, "p5")],
        "b": [(7, "p2")],
    }
    assert [(letter.epoch, letter.partition, letter.offset) for letter in unreadable] == [(3, 0, at) for at in (6, 8, 9, 10, 11)]
    assert all(letter.reason for letter in unreadable)


def test_deep_nesting_in_an_unknown_field_is_unreadable_and_not_fatal() -> None:
    whole = events.encode(play("a", 1))
    deep = whole[:-1] + b',"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    arrivals, unreadable = state_writer.decode(PLAYS, [Arrived(0, 1, b"a", deep)])
    assert not arrivals
    assert len(unreadable) == 1


def test_folding_drops_what_the_fence_has_seen() -> None:
    log = [(Position(3, 0, offset), play("a", offset, at_ms=1_700_000_000_000 + offset)) for offset in range(6)]
    held, seen = state_writer.fold(Held.of(MISSING), "plays", log[:4])
    assert held is not None
    assert seen == 0
    assert held.fence == {"plays": Position(3, 0, 3)}
    again, seen = state_writer.fold(held, "plays", log)
    assert again is not None
    assert seen == 4
    assert again.state == state.fold(EMPTY, [event for _, event in log])
    assert fence.decode(again.fence_bytes) == {"plays": Position(3, 0, 5)}
    assert state_writer.fold(again, "plays", log) == (None, 6)


def test_a_topic_that_was_created_anew_is_not_taken_for_seen() -> None:
    held, _ = state_writer.fold(Held.of(MISSING), "plays", [(Position(1, 0, 900), play("a", 1))])
    assert held is not None
    anew, seen = state_writer.fold(held, "plays", [(Position(2, 0, 0), play("a", 2))])
    assert anew is not None
    assert seen == 0


def test_folding_leaves_the_state_it_started_from_alone() -> None:
    before = Held.of(StoredState(state.encode(EMPTY), b"feedback=1:0:4"))
    state_writer.fold(before, "plays", [(Position(1, 0, 1), play("a", 1))])
    assert before.fence == {"feedback": Position(1, 0, 4)}


def test_the_cache_keeps_the_most_recently_used() -> None:
    cache = StateCache(2)
    held = Held.of(MISSING)
    cache.put("a", held)
    cache.put("b", held)
    assert cache.get("a") is held
    cache.put("c", held)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (held, None, held, 2)


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
