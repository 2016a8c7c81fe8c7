"""The title factors of the snapshot that an arm serves, and what they say about some members. Pure.

The stream workers fold in with the snapshot that `online` serves, so that fresh candidates and precomputed ones are indices into
the same titles and scores on the same scale; `offline` retrieves with it what a member had at some moment of the past.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from shared import histories
from shared.fence import Fence
from shared.fold_in import FoldIn, History, IndexArray
from shared.fresh import FreshCandidates
from shared.snapshots import Snapshot
from shared.state import MemberState


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

    def _indices(self, titles: set[str]) -> IndexArray:
        return np.array([self.index[title] for title in titles if title in self.index], np.int32)
