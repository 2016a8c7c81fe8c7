"""Ends a worker that stands still, so that whoever supervises it starts a new one.

A thread of its own looks at what the worker reports: it works also when the event loop hangs.
"""

import logging
import os
import sys
import threading
import time

from nearline.watching import supervisor

log = logging.getLogger(__name__)

STALLED_EXIT_CODE = 1


class Progress:
    """What the worker reports about itself: flushes, lag, and that its event loop turns."""

    def __init__(self) -> None:
        now_s = time.monotonic()
        self._moved_at_s = now_s
        self._beat_at_s = now_s

    def flushed(self) -> None:
        """A batch is in Redis."""
        self._moved_at_s = time.monotonic()

    def beat(self, lag: int) -> None:
        """The event loop turns; `lag` is the number of records not yet in Redis. Without lag there is nothing to do."""
        self._beat_at_s = time.monotonic()
        if lag == 0:
            self._moved_at_s = self._beat_at_s

    def alive(self) -> None:
        """The event loop turns, but how much waits is not known."""
        self._beat_at_s = time.monotonic()

    def stall(self, limit_s: float) -> str | None:
        """Why the worker counts as stalled; None while it does not."""
        now_s = time.monotonic()
        if now_s - self._moved_at_s > limit_s:
            return f"no progress for {now_s - self._moved_at_s:.0f} s while records wait"
        if now_s - self._beat_at_s > limit_s:
            return f"the event loop has not turned for {now_s - self._beat_at_s:.0f} s"
        return None


class Watchdog:
    """Ends the process when it stalls, or when its shutdown takes too long."""

    def __init__(self, progress: Progress, limit_s: float) -> None:
        self._progress = progress
        self._limit_s = limit_s
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; for as long as the process lives."""
        self._thread.start()

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self._limit_s / 5))
            reason = self._progress.stall(self._limit_s)
            if reason is not None:
                log.critical("stalled: %s", reason)
                sys.stderr.write(f"error: the worker stalled: {reason}; it ends itself to be started anew\n")
                sys.stderr.flush()
                os._exit(STALLED_EXIT_CODE)
            supervisor.tell("WATCHDOG=1")
