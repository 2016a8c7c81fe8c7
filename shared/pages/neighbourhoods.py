"""What is near a title: its neighbours, and behind them theirs, so that a row about one title can be long. Pure."""

from functools import lru_cache

import numpy as np

from shared.pages.serving import Indices, Scores, Serving

SIZE = 160
"""Titles kept around each."""
NEAREST = 16
"""Nearest neighbours whose neighbours are taken in."""
STEP_WEIGHT = 0.5
"""The nearest of the neighbours' neighbours, relative to the last neighbour."""
KEPT = 8192
"""Titles whose neighbourhoods are kept in memory."""


class Neighbourhoods:
    """The neighbourhoods of one snapshot's titles, each worked out when it is first asked for."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self.around = lru_cache(KEPT)(self._around)
        """The titles near one, nearest first, (n,) int32, and their nearness, (n,) float32 above 0."""

    @classmethod
    def of(cls, serving: Serving) -> "Neighbourhoods":
        """The neighbourhoods of a snapshot."""
        return serving.once(cls)

    def _around(self, title: int) -> tuple[Indices, Scores]:
        near, nearness = self._serving.similar_titles[title], self._serving.similar_scores[title]  # (n,) each
        first = near[:NEAREST][near[:NEAREST] < self._serving.count]  # (nearest,)
        further = self._serving.similar_titles[first]  # (nearest, n)
        steps = nearness[: len(first), None] * self._serving.similar_scores[first]  # (nearest, n)
        found = np.zeros(self._serving.count + 1, dtype=np.float32)  # the last is no title
        np.maximum.at(found, further.ravel(), steps.ravel())
        least = nearness[nearness > 0.0].min(initial=1.0)
        found *= STEP_WEIGHT * least / max(float(found.max()), 1e-9)
        found[near] = np.maximum(nearness, found[near])
        found[[title, -1]] = 0.0
        order = np.argsort(-found, kind="stable")[:SIZE].astype(np.int32)
        order = order[found[order] > 0.0]
        return order, found[order]
