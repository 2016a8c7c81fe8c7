"""What each arm serves, kept in memory: the configured arm, and those that experiments send members to."""

from collections.abc import Iterable
from pathlib import Path

from online.kept_snapshot import KeptSnapshot
from shared import store
from shared.arm_loading import ArmLoader, Loaded, Trouble
from shared.config import Config
from shared.pages import rows
from shared.pages.features import TitleColumns
from shared.pages.ranking import ranker_of
from shared.pages.serving import Serving
from shared.pages.viewing import PageTables
from shared.snapshots import Snapshot, SnapshotStore

POLL_S = 5.0
"""How often an idle process looks at the pointers; a busy one learns of a flip from its requests."""


def prepared(snapshot: Snapshot) -> Serving:
    """A snapshot ready to answer requests, with all that any of them needs worked out and checked.

    Raises
    ------
    SnapshotError : one of its arrays cannot be, so that this snapshot is not served.
    """
    serving = Serving(snapshot)
    if ranker_of(serving) is not None:
        serving.once(TitleColumns)
    serving.once(PageTables)
    rows.prepare(serving)
    return serving


class Arms:
    """A loader for each arm. Thread-safe; after a fork `start` is called anew."""

    def __init__(self, config: Config, others: Iterable[str] = ()) -> None:
        self._config = config
        self._names = tuple(dict.fromkeys((config.online.arm, *others)))
        self.start()

    def start(self) -> None:
        """Load what the arms serve, and keep up in the background. Not for the threads of one process: for each process once."""
        self._client = store.connect(self._config.redis)
        snapshots = SnapshotStore(self._client, self._config.redis.namespace)
        known = getattr(self, "_loaders", {})
        self._loaders = {name: ArmLoader(snapshots, name, prepared, POLL_S, self._keeper(name)) for name in self._names}
        for name, loader in self._loaders.items():
            loader.current = known[name].current if name in known else None
            loader.start()

    def _keeper(self, arm: str) -> KeptSnapshot | None:
        path = self._config.online.keep_snapshot
        return KeptSnapshot(Path(f"{path}-{arm}")) if path else None

    def serving(self, arm: str) -> Serving | None:
        """The snapshot to answer from; a request takes it once."""
        loaded: Loaded[Serving] | None = self._loaders[arm].current
        return None if loaded is None else loaded.value

    def trouble(self, arm: str) -> Trouble | None:
        """Why the newest snapshot of an arm is not the one that is served; None when it is."""
        return self._loaders[arm].trouble

    def notice(self, arm: str, version: str | None) -> None:
        """What a request saw in the arm's pointer."""
        self._loaders[arm].notice(version)

    def close(self, limit_s: float) -> None:
        """Stop keeping up."""
        for loader in self._loaders.values():
            loader.close(limit_s)
        self._client.close()
