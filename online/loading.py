"""Keeps the arm's current snapshot in memory: loaded at the start, and anew in the background when the pointer moves.

Requests only ever take `serving`, one whole snapshot, and tell `notice` what the pointer said; they never wait for a load.
"""

import logging
import threading

import redis.exceptions

from online.answers import Fallback
from online.serving import Serving
from shared.errors import MarqueeError
from shared.snapshots import SnapshotStore

log = logging.getLogger(__name__)

POLL_S = 5.0
"""How often an idle process looks at the pointer; a busy one learns of a flip from its requests."""
PAUSE_S = 1.0
"""The least time between two attempts, so that a Redis in trouble is not stormed."""


class SnapshotLoader:
    """The snapshot that this process serves."""

    def __init__(self, store: SnapshotStore, arm: str) -> None:
        self._store = store
        self._arm = arm
        self._serving: Serving | None = None
        self._trouble: Fallback | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def serving(self) -> Serving | None:
        """The snapshot to answer from; a request takes it once. None until one could be loaded."""
        return self._serving

    @property
    def trouble(self) -> Fallback | None:
        """Why the newest snapshot is not the one that serves; None when it is."""
        return self._trouble

    def start(self) -> None:
        """Load now if Redis is there, and keep up from then on in a background thread."""
        self.refresh()
        self._thread = threading.Thread(target=self._keep_up, name="marquee-snapshots", daemon=True)
        self._thread.start()

    def notice(self, version: str | None) -> None:
        """What a request saw in the pointer; a version that is not loaded wakes the background thread."""
        serving = self._serving
        if version is not None and (serving is None or version != serving.version):
            self._wake.set()

    def refresh(self) -> None:
        """Serve what the pointer names; on any failure stay with what there is, and record why."""
        try:
            version = self._store.pointer(self._arm).current
            if version is None:
                self._report(Fallback("no-snapshot", f"arm {self._arm!r} points at no snapshot"))
                return
            if self._serving is None or self._serving.version != version:
                self._serving = Serving(self._store.load(version))
                log.info("serving snapshot %s", version)
            self._trouble = None
        except redis.exceptions.RedisError as error:
            self._report(Fallback("redis-unreachable", f"the snapshot could not be read: {error}"))
        except MarqueeError as error:
            self._report(Fallback("snapshot-unusable", str(error)))
        except Exception as error:  # a fault here must not end the thread: the next snapshot may be good
            log.exception("loading a snapshot failed")
            self._report(Fallback("snapshot-unusable", f"{type(error).__name__}: {error}"))

    def close(self, limit_s: float) -> None:
        """Stop the background thread, waiting for it at most so long."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(limit_s)

    def _keep_up(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(PAUSE_S if self._trouble is not None else POLL_S)
            if self._closed.is_set():
                return
            self._wake.clear()
            self.refresh()
            self._closed.wait(PAUSE_S)

    def _report(self, trouble: Fallback) -> None:
        if trouble != self._trouble:
            log.warning("%s: %s", trouble.code, trouble.detail)
        self._trouble = trouble
