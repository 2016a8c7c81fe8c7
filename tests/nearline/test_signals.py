"""Which events ask for fresh candidates."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearline.retrieval.signals import find_signals
from shared.events import Feedback, Play
from tests.online.plays import play, thumb

AT_MS = 1_700_000_000_000
RUNTIME_S = 5400.0


def report(position_s: float, watched_s: float = 60.0, kind: str = "progress") -> Play:
    made = play("t1", position_s / RUNTIME_S, at_ms=AT_MS, runtime_s=RUNTIME_S)
    return msgspec.structs.replace(made, watched_s=watched_s, kind=kind)


def is_signal(event: Play | Feedback | None) -> bool:
    return find_signals([event], AT_MS) == [0]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (report(2640.0), False),  # 49 %
        (report(2740.0), True),  # half lies within the last minute
        (report(2800.0), False),  # it was crossed before
        (report(4860.0), True),  # the credits begin
        (report(4980.0), False),
        (report(3000.0, kind="stop"), True),
        (report(2000.0, kind="stop"), False),
        (report(5400.0, watched_s=5400.0, kind="stop"), True),
        (report(3000.0, watched_s=0.0, kind="start"), False),  # taken up again beyond half
        (thumb("t1", True, at_ms=AT_MS), True),
        (thumb("t1", False, at_ms=AT_MS), True),
        (msgspec.structs.replace(thumb("t1", True, at_ms=AT_MS), kind="list_add"), False),
        (thumb("t1", True, at_ms=AT_MS - 1), False),  # too old
        (None, False),
    ],
)
def test_what_is_a_signal(event: Play | Feedback | None, expected: bool) -> None:
    assert is_signal(event) is expected


@given(st.lists(st.floats(1.0, 300.0), min_size=1, max_size=200))
def test_a_title_watched_through_asks_once_at_half_and_once_at_the_credits(steps_s: list[float]) -> None:
    position_s, log = 0.0, []
    for step_s in steps_s:
        if position_s + step_s > RUNTIME_S:
            break
        position_s += step_s
        log.append(report(position_s, watched_s=step_s))
    reached = position_s / RUNTIME_S
    assert len(find_signals(log, AT_MS)) == (reached >= 0.5) + (reached >= 0.9)


def test_places_are_those_of_the_signals() -> None:
    log = [report(10.0), thumb("t2", True, at_ms=AT_MS), None, report(4860.0)]
    assert find_signals(log, AT_MS) == [1, 3]
