"""Tells how far a long fit is and how long it will still take, in lines for people."""

import time
from collections.abc import Callable

from offline.models import Pass, Progress

EVERY_S = 5.0


def fit_progress(label: str, say: Callable[[str], None], every_s: float = EVERY_S) -> Progress:
    """Make what a fit calls after each pass; it says a sentence at most every few seconds, so short fits are silent."""
    last_s = time.monotonic()

    def told(done: Pass) -> None:
        nonlocal last_s
        if done.number == done.passes or time.monotonic() - last_s < every_s:
            return
        last_s = time.monotonic()
        what = f", {done.said}" if done.said else ""
        say(f"{label}: pass {done.number} of {done.passes}{what}; {spell(done.seconds)} so far, about {spell(done.left_s)} left")

    return told


def spell(seconds: float) -> str:
    """A duration for people: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
