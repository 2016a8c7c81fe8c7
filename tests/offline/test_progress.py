import pytest

from offline.models import Pass
from offline.progress import fit_progress, spell


def test_time_left_is_told() -> None:
    told: list[str] = []
    fit_progress("ials", told.append, every_s=0.0)(Pass(3, 10, 90.0, 3, "loss 0.5"))
    assert told == ["ials: pass 3 of 10, loss 0.5; 1 min 30 s so far, about 3 min 30 s left"]


def test_short_fits_are_silent() -> None:
    told: list[str] = []
    progress = fit_progress("ials", told.append)
    for number in range(1, 11):
        progress(Pass(number, 10, 0.1, number))
    assert told == []


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (7500, "2 h 5 min")])
def test_durations_are_spelled(seconds: float, text: str) -> None:
    assert spell(seconds) == text
