"""Keeps what an arm serves in memory: loaded at the start, and anew in a thread of its own when the pointer moves.

`online` answers requests from it, the stream workers retrieve with it. Whoever uses `current` takes one whole snapshot and never
waits for a load.
"""

import logging
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import redis.exceptions

from shared.errors import MarqueeError
from shared.snapshots import Parts, Snapshot, SnapshotStore, opened

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""The least time between two attempts, so that a Redis in trouble is not stormed."""

T = TypeVar("T")


class Loaded(NamedTuple, Generic[T]):
    """What was made of a snapshot, with the snapshot's version."""

    version: str
    value: T


class Trouble(NamedTuple):
    """Why the newest snapshot could not be loaded: one of a few fixed words, and a sentence."""

    code: str
    detail: str


class Keeper(Protocol):
    """Keeps a snapshot where it outlives Redis; `online.kept_snapshot` does so in a file."""

    def keep(self, parts: Parts) -> None:
        """Take the parts of a snapshot that is served from now on."""

    def read(self) -> Snapshot | None:
        """What was kept last; None without any."""


class ArmLoader(Generic[T]):
    """What an arm serves.

    Parameters
    ----------
    keeper : has a snapshot for a process that starts while Redis is away; None for none.
    prepare : makes of a snapshot what its users need.
    poll_s : how often to look at the pointer without being told that it moved.

    Attributes
    ----------
    current : the newest that could be loaded; None before the first.
    trouble : why the newest snapshot is not the one in `current`; None when it is.
    """

    def __init__(
        self, store: SnapshotStore, arm: str, prepare: Callable[[Snapshot], T], poll_s: float, keeper: Keeper | None = None
    ) -> None:
        self.current: Loaded[T] | None = None
        self.trouble: Trouble | None = None
        self._store = store
        self._arm = arm
        self._prepare = prepare
        self._poll_s = poll_s
        self._keeper = keeper
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="marquee-snapshots", daemon=True)

    def start(self) -> None:
        """Load now if Redis is there, and keep up from then on in the background."""
        self.refresh()
        if self.current is None and self._keeper is not None:
            self._serve_kept(self._keeper)
        self._thread.start()

    def notice(self, version: str | None) -> None:
        """What somebody saw in the pointer; a version that is not loaded wakes the thread."""
        if version is not None and (self.current is None or version != self.current.version):
            self._wake.set()

    def refresh(self) -> None:
        """Load what the pointer names, if it is not there yet; on any failure stay with what there is, and record why."""
        try:
            version = self._store.pointer(self._arm).current
            if version is None:
                self._report(Trouble("no-snapshot", f"arm {self._arm!r} points at no snapshot"))
                return
            if self.current is None or self.current.version != version:
                parts = self._store.parts(version)
                self.current = Loaded(version, self._prepare(opened(parts)))
                log.info("serving snapshot %s", version)
                if self._keeper is not None:
                    self._keeper.keep(parts)
            self.trouble = None
        except redis.exceptions.RedisError as error:
            self._report(Trouble("redis-unreachable", f"the snapshot could not be read: {error}"))
        except MarqueeError as error:
            self._report(Trouble("snapshot-unusable", str(error)))
        except Exception as error:  # a fault here must not end the thread: the next snapshot may be good
            log.exception("loading a snapshot failed")
            self._report(Trouble("snapshot-unusable", f"{type(error).__name__}: {error}"))

    def _serve_kept(self, keeper: Keeper) -> None:
        try:
            kept = keeper.read()
            if kept is not None:
                self.current = Loaded(kept.version, self._prepare(kept))
                log.warning("serving snapshot %s as it was kept", kept.version)
        except MarqueeError as error:
            log.warning("the snapshot that was kept cannot be used: %s", error)

    def close(self, limit_s: float) -> None:
        """Stop the thread, waiting for it at most so long."""
        self._closed.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _keep_up(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(PAUSE_S if self.trouble is not None else self._poll_s)
            if self._closed.is_set():
                return
            self._wake.clear()
            self.refresh()
            self._closed.wait(PAUSE_S)

    def _report(self, trouble: Trouble) -> None:
        if trouble != self.trouble:
            log.warning("%s: %s", trouble.code, trouble.detail)
        self.trouble = trouble
