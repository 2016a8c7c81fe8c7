"""Whether requests wait for Redis at all: a circuit breaker, which says no while Redis keeps failing.

    closed ──failures──▶ open ──pause──▶ half-open ──probe succeeds──▶ closed
                          ▲──────────────────┘ probe fails

Without it every request of an outage waits for its whole deadline. `online.fetching` asks it before each read and tells it how
that ended.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]

FAILING_SHARE = 0.5
"""Of the requests of a window: where so many fail, it opens although some succeed in between."""
WINDOW_S = 10.0
"""From the first failure on; a window's end begins the counting anew."""
JITTER = 0.25
"""A pause is up to this share shorter or longer, so that processes that lost Redis together don't return together."""


class CircuitBreaker:
    """Opens on failures in a row, or on a share of failures in a window. Thread-safe.

    Every `allow` that was True is to be followed by `succeeded` or `failed`. A request should take less than `pause_s`: an
    outcome is told apart from the probe's only by its time.

    Parameters
    ----------
    failures : so many in a row open it; so many in a window too, if they are `FAILING_SHARE` of its requests.
    pause_s : how long it stays open before one request probes. The same time later a probe that never ended is replaced.
    clock : seconds, monotonic.
    jitter : gives random numbers in [0, 1).
    """

    def __init__(
        self,
        failures: int,
        pause_s: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._state: BreakerState = "closed"
        self._until_s = 0.0  # of the pause, of the probe, or of the window while there is trouble
        self._is_troubled = False  # closed, with failures in the window
        self._in_row = self._failed = self._ended = 0

    @property
    def state(self) -> BreakerState:
        """Where it stands; a pause that has ended is noticed by the next `allow`."""
        return self._state

    def allow(self) -> bool:
        """Whether a request may read from Redis. While it is half-open only one may."""
        return self._state == "closed" or self._may_probe()

    def succeeded(self) -> None:
        """A read that was allowed has its replies."""
        if self._state != "closed" or self._is_troubled:
            self._note_success()

    def failed(self) -> None:
        """A read that was allowed was late or found nobody."""
        with self._lock:
            now_s = self._clock()
            if self._state == "half-open":
                self._open(now_s)
            if self._state == "open":
                return
            if not self._is_troubled or now_s >= self._until_s:
                self._in_row = self._in_row if self._is_troubled else 0
                self._failed = self._ended = 0
                self._until_s = now_s + WINDOW_S
                self._is_troubled = True
            self._in_row += 1
            self._failed += 1
            self._ended += 1
            often = self._failed >= self._limit and self._failed >= FAILING_SHARE * self._ended
            if self._in_row >= self._limit or often:
                self._open(now_s)

    def _may_probe(self) -> bool:
        with self._lock:
            if self._state == "closed":
                return True
            now_s = self._clock()
            if now_s < self._until_s:
                return False
            self._state = "half-open"
            self._until_s = now_s + self._pause_s
            return True

    def _note_success(self) -> None:
        with self._lock:
            if self._state == "half-open":
                self._state = "closed"
                self._is_troubled = False
            elif self._state == "closed" and self._is_troubled:
                self._in_row = 0
                self._ended += 1
                # Another failure begins another window.
                self._is_troubled = self._clock() < self._until_s

    def _open(self, now_s: float) -> None:
        self._state = "open"
        self._until_s = now_s + self._pause_s * (1 - JITTER + 2 * JITTER * self._jitter())
