"""Decoding: what is valid comes through unchanged, what is not has a reason."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import events
from shared.errors import EventError

PLAY: dict[str, Any] = {
    "schema": 1, "event_id": "e", "member_id": "m", "title_id": "t", "kind": "stop", "session_id": "s",
    "at_ms": 1_700_000_000_000, "position_s": 1.5, "runtime_s": 10, "watched_s": 0.0, "device": "tv", "country": "US",
}  # fmt: skip


def encoded(**changes: Any) -> bytes:
    fields = PLAY | changes
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not ...})


def test_a_play_comes_through_and_unknown_fields_are_left_out() -> None:
    play = events.decode_play(encoded(new_field={"a": 1}), b"m")
    assert (play.member_id, play.position_s, play.runtime_s, play.page_id) == ("m", 1.5, 10.0, None)
    assert events.decode_play(events.encode(play), b"m") == play


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"),
        (b"", "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b"[1]", "Expected `object`"),
        (b'{"x":' + b"[" * 30_000, "recursion depth"),
        (encoded(title_id=...), "missing required field `title_id`"),
        (encoded(at_ms="now"), "Expected `int`, got `str`"),
        (encoded(kind="pause"), "Invalid enum value 'pause'"),
        (encoded(position_s=-1), "at `$.position_s`"),
        (encoded(runtime_s=0), "running time is positive"),
        (encoded(rank=1 << 31), "at `$.rank`"),
        (encoded(member_id=""), "at `$.member_id`"),
        (encoded(schema=2), "schema is 2; this version reads schema 1"),
        (encoded(at_ms=1_700_000_000), "looks like seconds; milliseconds are due"),
        (encoded(at_ms=99_999_999_999_999), "at `$.at_ms`"),
        (encoded(device="x" * 70_000), "at most 65536"),
        (encoded(member_id="other"), "is not its member_id 'other'"),
    ],
)
def test_what_cannot_be_read_has_a_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        events.decode_play(value, b"m")
    assert reason in str(caught.value)


def test_a_record_without_a_key_is_refused() -> None:
    with pytest.raises(EventError, match="has no key"):
        events.decode_play(encoded(), None)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(value: bytes) -> None:
    for decode in (events.decode_play, events.decode_feedback, events.decode_impression):
        with pytest.raises(EventError):
            decode(value, b"m")


def test_feedback_and_impressions_come_through() -> None:
    feedback = events.Feedback(schema=1, event_id="e", member_id="m", title_id="t", kind="list_add", at_ms=1_700_000_000_000)
    assert events.decode_feedback(events.encode(feedback), b"m") == feedback
    cell = events.Cell(row="top-picks", row_index=0, rank=3, title_id="t7", tier="live", propensity=0.93)
    page = events.Impression(
        schema=1, page_id="p", member_id="m", at_ms=1_700_000_000_000, snapshot="v", fence={}, allocation={}, cells=[cell]
    )
    assert events.decode_impression(events.encode(page), b"m") == page
