"""The circuit breaker's states on a clock of the test's own, and under threads."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from online.breaker import JITTER, WINDOW_S, CircuitBreaker


class SlowMoment(float):
    """Comparing it takes so long that other threads come in between."""

    def __lt__(self, other: float) -> bool:
        is_less = super().__lt__(other)
        time.sleep(0.005)
        return is_less


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.takes_s = 0.0

    def __call__(self) -> float:
        time.sleep(self.takes_s)
        return SlowMoment(self.now_s) if self.takes_s else self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, pause_s=1.0, clock=clock, jitter=lambda: 0.5)  # pauses of exactly pause_s


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    assert breaker.allow() and breaker.state == "closed"
    breaker.failed()
    assert not breaker.allow() and breaker.state == "open"


def test_a_success_ends_the_row(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        fail(breaker, 2)
        for _ in range(5):
            breaker.succeeded()
    assert breaker.allow()


def test_a_row_counts_after_many_successes_of_the_same_window(breaker: CircuitBreaker) -> None:
    breaker.failed()
    for _ in range(1000):
        breaker.succeeded()
    fail(breaker, 3)
    assert not breaker.allow()


def test_every_second_failure_opens_it_too(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()


def test_what_failed_in_another_window_does_not_count(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(10):
        breaker.failed()
        breaker.succeeded()
        clock.now_s += WINDOW_S
    assert breaker.allow()


def test_a_row_goes_on_over_the_end_of_a_window(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
        clock.now_s += WINDOW_S
    assert breaker.state == "open"


def test_one_request_probes_after_the_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 0.999
    assert not breaker.allow()
    clock.now_s += 0.002
    assert breaker.allow() and breaker.state == "half-open"
    assert not breaker.allow()
    breaker.succeeded()
    assert breaker.state == "closed" and breaker.allow() and breaker.allow()


def test_it_begins_anew_when_a_probe_closed_it(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 1
    assert breaker.allow()
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()


def test_a_probe_that_fails_begins_another_pause(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 1
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()
    clock.now_s += 0.999
    assert not breaker.allow()
    clock.now_s += 0.002
    assert breaker.allow()


def test_a_probe_that_never_ends_is_replaced(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now_s += 1
    assert breaker.allow()
    clock.now_s += 0.999
    assert not breaker.allow()
    clock.now_s += 0.002
    assert breaker.allow() and not breaker.allow()


def test_requests_from_before_it_opened_change_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, 3)
    breaker.succeeded()
    assert not breaker.allow()
    clock.now_s += 0.9
    breaker.failed()
    clock.now_s += 0.1
    assert breaker.allow()


@pytest.mark.parametrize(("drawn", "pause_s"), [(0.0, 2 * (1 - JITTER)), (1.0, 2 * (1 + JITTER))])
def test_pauses_differ(clock: Clock, drawn: float, pause_s: float) -> None:
    breaker = CircuitBreaker(1, 2.0, clock, lambda: drawn)
    breaker.failed()
    clock.now_s += pause_s - 0.001
    assert not breaker.allow()
    clock.now_s += 0.002
    assert breaker.allow()


def test_of_many_threads_one_probes(breaker: CircuitBreaker, clock: Clock) -> None:
    clock.takes_s = 0.001
    for _ in range(5):
        fail(breaker, 3)
        clock.now_s += 1.1
        start = threading.Barrier(8)

        def ask(start: threading.Barrier = start) -> bool:
            start.wait()
            return breaker.allow()

        with ThreadPoolExecutor(8) as threads:
            allowed = Counter(future.result() for future in [threads.submit(ask) for _ in range(8)])
        assert allowed == {True: 1, False: 7}
        breaker.succeeded()


def test_no_failure_of_many_threads_is_lost(clock: Clock) -> None:
    clock.takes_s = 0.001
    breaker = CircuitBreaker(81, 1.0, clock)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: fail(breaker, 10), range(8)))
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()
