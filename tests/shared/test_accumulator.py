"""The accumulator ends in the bytes of the plain reducer, whatever comes in whatever portions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import state
from shared.accumulator import Accumulator
from shared.errors import SnapshotError
from shared.events import Feedback, Play
from shared.state import EMPTY, encode, fold
from tests.shared.test_state import events, play, small_limits

__all__ = ["small_limits"]  # a fixture: limits that the events overrun

portions = st.lists(events, max_size=6)


@settings(max_examples=500)
@given(portions)
def test_portions_end_in_the_bytes_of_the_plain_reducer(log: list[list[Play | Feedback]]) -> None:
    growing = Accumulator()
    so_far: list[Play | Feedback] = []
    for portion in log:
        so_far += portion
        blob = growing.fold(portion)
        assert blob == encode(fold(EMPTY, so_far))
        assert growing.size == len(blob)


@settings(max_examples=300)
@given(events, events)
def test_one_can_go_on_from_what_was_stored(first: list[Play | Feedback], second: list[Play | Feedback]) -> None:
    stored = encode(fold(EMPTY, first))
    assert Accumulator.of(stored).encode() == stored
    assert Accumulator.of(stored).fold(second) == encode(fold(EMPTY, first + second))


def test_a_state_at_the_bound_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real limits
    log: list[Play | Feedback] = [play(f"t{number}", number, 95.0) for number in range(state.FINISHED_LIMIT + 50)]
    growing = Accumulator()
    for event in log:
        growing.fold([event])
    assert growing.encode() == encode(fold(EMPTY, log))
    held = state.decode(growing.encode())
    assert (len(held.played), len(held.finished)) == (state.PLAYED_LIMIT, state.FINISHED_LIMIT)


def test_nothing_stored_is_the_empty_state_and_damage_is_refused() -> None:
    assert Accumulator.of(b"").encode() == encode(EMPTY)
    for damaged in (b"\x63", encode(EMPTY)[:-1], b"\x02\xff"):
        with pytest.raises(SnapshotError, match="member state"):
            Accumulator.of(damaged)
