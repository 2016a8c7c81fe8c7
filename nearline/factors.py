"""The title factors of the snapshot that an arm serves: what they say about some members, and keeping them up to date.

The worker folds in with the snapshot that `online` serves, so that fresh candidates and precomputed ones are indices into the
same titles and scores on the same scale.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import redis.exceptions

from shared import histories
from shared.errors import MarqueeError
from shared.fence import Fence
from shared.fold_in import FoldIn, History
from shared.fresh import FreshCandidates
from shared.snapshots import Snapshot, SnapshotStore
from shared.state import MemberState

POLL_S = 1.0
"""How often the pointer is looked at."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Factors:
    """One snapshot's factors. Pure and never changed.

    Attributes
    ----------
    index : title id to title index.
    """

    version: str
    index: Mapping[str, int]
    fold_in: FoldIn

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self | None:
        """A snapshot's factors; None when its candidates come from a model without.

        Raises
        ------
        SnapshotError : see `FoldIn.of`.
        """
        fold_in = FoldIn.of(snapshot.arrays, len(snapshot.catalogue))
        return None if fold_in is None else cls(snapshot.version, snapshot.catalogue.index, fold_in)

    def candidates(self, members: Sequence[tuple[MemberState, Fence]], k: int, now_ms: int) -> list[FreshCandidates]:
        """The best k titles for some members that are new to them, from their states."""
        vectors = self.fold_in.vectors([self._history(state) for state, _ in members])  # (members, factors)
        known = [self._indices(histories.known_titles(state)) for state, _ in members]
        ranked = self.fold_in.top_k(vectors, k, known)
        return [
            FreshCandidates(self.version, fence, now_ms, best.titles, best.scores, histories.seeds(state))
            for (state, fence), best in zip(members, ranked, strict=True)
        ]

    def _history(self, state: MemberState) -> History:
        weights = {self.index[title]: weight for title, weight in histories.weights(state).items() if title in self.index}
        return History(np.fromiter(weights, np.int32, len(weights)), np.fromiter(weights.values(), np.float32, len(weights)))

    def _indices(self, titles: set[str]) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
        return np.array([self.index[title] for title in titles if title in self.index], np.int32)


class FactorsLoader:
    """The factors of an arm's snapshot: loaded in a thread of their own, and anew when the pointer moves.

    Attributes
    ----------
    current : the factors to use; None before the first could be loaded, and while the snapshot has none.
    has_none : whether the arm serves a snapshot that is known to have none.
    """

    def __init__(self, store: SnapshotStore, arm: str) -> None:
        self.current: Factors | None = None
        self.has_none = False
        self._store = store
        self._arm = arm
        self._version: str | None = None
        self._trouble = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="marquee-factors", daemon=True)

    def start(self) -> None:
        """Load in the background, and keep up from then on."""
        self._thread.start()

    def close(self, limit_s: float) -> None:
        """Stop, waiting for the thread at most so long."""
        self._closed.set()
        self._thread.join(limit_s)

    def refresh(self) -> None:
        """Load what the pointer names, if it is not there yet; on any failure stay with what there is."""
        try:
            version = self._store.pointer(self._arm).current
            if version is not None and version != self._version:
                self.current = Factors.of(self._store.load(version))
                self.has_none, self._version = self.current is None, version
                log.info("retrieving with snapshot %s%s", version, ", which has no factors: idle" if self.has_none else "")
            self._report("")
        except (MarqueeError, redis.exceptions.RedisError) as error:
            self._report(str(error))
        except Exception as error:  # a fault here must not end the thread: the next snapshot may be good
            self._report(f"{type(error).__name__}: {error}")

    def _keep_up(self) -> None:
        while not self._closed.is_set():
            self.refresh()
            self._closed.wait(POLL_S)

    def _report(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.warning("the snapshot to retrieve with could not be loaded: %s", trouble)
        self._trouble = trouble
