"""Calls timed one by one and in turns, so that what else the machine does falls on all of them alike."""

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from infra.bench.report import Row

TURN_CALLS = 50
"""Calls of one kind before the next kind has its turn: enough that caches are warm with it."""

WARM_UP = 300

Call = Callable[[int], object]
"""What is timed; it is given the number of the call, to ask for another member each time."""


@dataclass(frozen=True)
class Latencies:
    """The time of each call, and the CPU time of this process that one took on the mean."""

    seconds: tuple[float, ...]
    cpu_s: float

    def quantile_us(self, percent: float) -> float:
        """One percentile, in microseconds."""
        return float(np.percentile(self.seconds, percent)) * 1e6

    @property
    def p50_us(self) -> float:
        """The median."""
        return self.quantile_us(50)

    @property
    def p99_us(self) -> float:
        """What one in a hundred exceeds."""
        return self.quantile_us(99)

    @property
    def per_s(self) -> float:
        """Calls a second, one after the other."""
        return len(self.seconds) / sum(self.seconds)

    @property
    def per_cpu_s(self) -> float:
        """Calls a second of this process's CPU: what a core kept busy answers."""
        return 1.0 / self.cpu_s

    def values(self) -> dict[str, Any]:
        """For the JSON file."""
        shown = {f"p{percent:g}_us": self.quantile_us(percent) for percent in (1, 10, 50, 90, 99)}
        return {"calls": len(self.seconds), **shown, "cpu_us": self.cpu_s * 1e6, "per_s": self.per_s}


def in_turns(calls: Mapping[str, Call], count: int, warm_up: int = WARM_UP) -> dict[str, Latencies]:
    """Time `count` calls of each kind, a few of one kind after a few of the other, after some that are not timed."""
    for call in calls.values():
        for number in range(min(warm_up, count)):
            call(number)
    gc.collect()  # what the warm-up and the sections before it left; collections from here on are the calls' own
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu_s = dict.fromkeys(calls, 0.0)
    for start in range(0, count, TURN_CALLS):
        for name, call in calls.items():
            taken, cpu_began_s = seconds[name], time.process_time()
            for number in range(start, min(start + TURN_CALLS, count)):
                began_s = time.perf_counter()
                call(number)
                taken.append(time.perf_counter() - began_s)
            cpu_s[name] += time.process_time() - cpu_began_s
    return {name: Latencies(tuple(taken), cpu_s[name] / count) for name, taken in seconds.items()}


def latency_row(what: str, found: Latencies, trip: Latencies, p50_ms: float | None = None, p99_ms: float | None = None) -> Row:
    """p50 and p99, each in multiples of the run's bare round trip too, against what they may be at most."""
    figure = (
        f"p50 {_time(found.p50_us)} ({found.p50_us / trip.p50_us:.1f} round trips), p99 {_time(found.p99_us)} "
        f"({found.p99_us / trip.p50_us:.1f}), CPU {_time(found.cpu_s * 1e6)}"
    )
    limits = {"p50": (p50_ms, found.p50_us), "p99": (p99_ms, found.p99_us)}
    asked = {name: (limit, was) for name, (limit, was) in limits.items() if limit is not None}
    target = ", ".join(f"{name} ≤ {limit:g} ms" for name, (limit, _) in asked.items())
    met = all(was <= 1000 * limit for limit, was in asked.values()) if asked else None
    return Row(what, figure, target, met, {**found.values(), "round_trip_p50_us": trip.p50_us})


def ratio_row(what: str, found: Latencies, other: Latencies, at_most: float | None = None) -> Row:
    """One median as a multiple of another."""
    ratio = found.p50_us / other.p50_us
    target, met = ("", None) if at_most is None else (f"≤ {at_most:g} ×", ratio <= at_most)
    cpu_ratio = found.cpu_s / other.cpu_s
    return Row(what, f"{ratio:.2f} × (CPU {cpu_ratio:.2f} ×)", target, met, {"ratio": ratio, "cpu_ratio": cpu_ratio})


def _time(us: float) -> str:
    return f"{us:.0f} µs" if us < 10_000 else f"{us / 1000:.1f} ms"


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [core])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
