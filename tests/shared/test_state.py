"""The reducer: any order, duplication and split of the events gives the same bytes, and every part is bounded."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import state
from shared.errors import SnapshotError
from shared.events import Feedback, Play
from shared.state import EMPTY, Mark, MemberState, apply, decode, encode, fold, merge


def play(title: str = "t1", at_ms: int = 1, position_s: float = 60.0, runtime_s: float = 100.0, **more: str) -> Play:
    event_id = more.pop("event_id", f"{title}@{at_ms}:{position_s}")
    fields = {"kind": "stop", "session_id": "s1", "device": "tv", "country": "US"} | more
    return Play(
        schema=1,
        event_id=event_id,
        member_id="m1",
        title_id=title,
        at_ms=at_ms,
        position_s=position_s,
        runtime_s=runtime_s,
        watched_s=position_s,
        **fields,  # type: ignore[arg-type]
    )


def feedback(kind: str, title: str = "t1", at_ms: int = 1) -> Feedback:
    return Feedback(schema=1, event_id=f"{kind}{at_ms}", member_id="m1", title_id=title, kind=kind, at_ms=at_ms)  # type: ignore[arg-type]


titles = st.sampled_from([f"t{number}" for number in range(6)])
times = st.integers(0, 8)  # few values: ties are the hard case
plays = st.builds(
    play,
    title=titles,
    at_ms=times,
    position_s=st.sampled_from([0.0, 0.0006, 1.0, 50.0, 89.9, 90.0, 100.0]),
    runtime_s=st.sampled_from([100.0, 100.0, 100.0, 0.0014, 0.0001]),  # rounded to milliseconds, a short one is soon over
    event_id=st.sampled_from(["a", "b", "c"]),
    kind=st.sampled_from(["start", "progress", "stop"]),
)
thumbs = st.builds(
    feedback, kind=st.sampled_from(["thumbs_up", "thumbs_down", "list_add", "list_remove"]), title=titles, at_ms=times
)
events = st.lists(plays | thumbs, max_size=40)


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that forty events overrun, so that the properties hold across truncation too."""
    for name in ("PLAYED_LIMIT", "FINISHED_LIMIT", "THUMBS_LIMIT", "LIST_LIMIT"):
        monkeypatch.setattr(state, name, 3)


@settings(max_examples=300)
@given(events, st.randoms(use_true_random=False))
def test_order_and_duplicates_change_nothing(log: list[Play | Feedback], random: object) -> None:
    shuffled = log + log[: len(log) // 2]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert encode(fold(EMPTY, shuffled)) == encode(fold(EMPTY, log))


@settings(max_examples=300)
@given(events, events)
def test_splitting_and_merging_change_nothing(first: list[Play | Feedback], second: list[Play | Feedback]) -> None:
    whole = fold(EMPTY, first + second)
    assert fold(fold(EMPTY, first), second) == whole
    assert merge(fold(EMPTY, first), fold(EMPTY, second)) == whole
    assert merge(fold(EMPTY, second), fold(EMPTY, first)) == whole


@given(st.lists(events, max_size=5))
def test_many_parts_merge_at_once(parts: list[list[Play | Feedback]]) -> None:
    assert merge(*(fold(EMPTY, part) for part in parts)) == fold(EMPTY, [event for part in parts for event in part])


@given(events)
def test_folding_one_by_one_equals_folding_at_once(log: list[Play | Feedback]) -> None:
    one_by_one = EMPTY
    for event in log:
        one_by_one = apply(one_by_one, event)
    assert one_by_one == fold(EMPTY, log)


@given(events)
def test_every_part_is_bounded_and_the_codec_round_trips(log: list[Play | Feedback]) -> None:
    result = fold(EMPTY, log)
    assert all(len(part) <= 3 for part in (result.played, result.finished, result.thumbs, result.my_list))
    assert decode(encode(result)) == result


def test_a_late_report_never_moves_the_bookmark_back() -> None:
    result = fold(EMPTY, [play(at_ms=20, position_s=50), play(at_ms=10, position_s=80)])
    assert [entry.position_ms for entry in result.in_progress()] == [50_000]


def test_a_finished_title_stays_finished_when_it_is_begun_again() -> None:
    result = fold(EMPTY, [play(at_ms=10, position_s=95), play(at_ms=20, position_s=10)])
    assert result.finished_titles == {"t1"}
    assert [entry.title_id for entry in result.in_progress()] == ["t1"]


def test_glances_and_credits_are_not_in_progress() -> None:
    result = fold(EMPTY, [play("glance", 1, 1.0), play("credits", 2, 90.0), play("half", 3, 50.0)])
    assert [entry.title_id for entry in result.in_progress()] == ["half"]


def test_the_last_thumb_and_the_last_list_change_hold() -> None:
    result = fold(
        EMPTY,
        [
            feedback("thumbs_up", at_ms=1),
            feedback("thumbs_down", at_ms=2),
            feedback("list_remove", at_ms=4),
            feedback("list_add", at_ms=3),
        ],
    )
    assert result.disliked_titles == {"t1"}
    assert [mark.is_set for mark in result.my_list] == [False]


@pytest.mark.parametrize("blob", [b"", b"\x09abc", encode(EMPTY)[:-1], b"\x01\xff"])
def test_a_damaged_or_newer_state_is_refused(blob: bytes) -> None:
    with pytest.raises(SnapshotError, match="member state"):
        decode(blob)


def test_a_state_of_version_1_is_read_and_written_as_version_2() -> None:
    played = [5, "p5", "t1", "s1", "stop", 60_000, 100_000]
    old = [[played], [[3, "e3", "t9", True]], [[7, "e1", "t1", False], [7, "e2", "t0", True]], []]
    blob = b"\x01" + msgspec.msgpack.encode(old)
    upgraded = decode(blob)
    assert [entry.title_id for entry in upgraded.played] == ["t1"]
    assert upgraded.finished == (Mark(3, "t9", True),)
    assert upgraded.thumbs == (Mark(7, "t0", True), Mark(7, "t1", False))
    assert encode(upgraded)[0] == state.STATE_VERSION
    assert fold(upgraded, [play(at_ms=9)]) == fold(decode(encode(upgraded)), [play(at_ms=9)])


def test_a_yes_and_a_no_in_one_millisecond_are_a_yes() -> None:
    result = fold(EMPTY, [feedback("list_remove", at_ms=4), feedback("list_add", at_ms=4), feedback("thumbs_down", at_ms=4)])
    assert (result.my_list[0].is_set, result.thumbs[0].is_set) == (True, False)


def test_the_session_is_that_of_the_newest_play() -> None:
    log = [play("t1", 1, session_id="old"), play("t2", 5, session_id="new"), play("t3", 9, session_id="new")]
    session = fold(EMPTY, log).session()
    assert session is not None
    assert (session.session_id, session.since_ms) == ("new", 5)
    assert [entry.title_id for entry in session.played] == ["t2", "t3"]
    assert EMPTY.session() is None


def test_given_up_is_what_was_stopped_at_the_beginning_or_left_for_a_month() -> None:
    month_ms = state.ABANDONED_AFTER_MS
    result = fold(
        EMPTY, [play("left", 1, 50.0), play("rejected", month_ms, 3.0), play("open", month_ms, 50.0), play("done", 2, 95.0)]
    )
    assert {entry.title_id for entry in result.abandoned(month_ms + 2)} == {"rejected"}


def test_the_token_sequence_has_every_title_once_in_the_order_of_time() -> None:
    log = [play("a", 1, 95.0), play("b", 2, 50.0), play("a", 3, 10.0), play("c", 4, 95.0), play("d", 5), play("e", 6)]
    result = fold(EMPTY, log)  # of five titles played the limit keeps three; "c" is known as finished
    assert [token.title_id for token in result.tokens(10)] == ["a", "c", "d", "e"]
    assert [token.title_id for token in result.tokens(2)] == ["d", "e"]
    assert result.tokens(10)[1].share == 0.95


def test_an_empty_state_reads_as_one() -> None:
    assert decode(encode(EMPTY)) == MemberState()
    assert (EMPTY.updated_at_ms, EMPTY.session_id) == (0, None)
