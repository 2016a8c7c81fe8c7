"""A catalogue's titles by their release, and those of them that hardly anybody has found yet. Pure."""

from bisect import bisect_left

import numpy as np

from shared.pages.serving import Indices, Serving

UNDISCOVERED_SHARE = 0.5
"""A title counts as undiscovered as long as so many of the catalogue's are played more."""
UNDISCOVERED_AGE_MS = 365 * 24 * 3600 * 1000
"""… and its release is no longer ago: older ones were found, and not liked."""


class Arrivals:
    """The titles of one snapshot whose release is known.

    Attributes
    ----------
    titles : (n,) int32, the newest first.
    undiscovered : (m,) int32, those with few plays, the newest first.
    """

    def __init__(self, serving: Serving) -> None:
        unknown = np.iinfo(np.int64).min
        order = np.argsort(serving.released_ms, kind="stable")[::-1].astype(np.int32)
        self.titles: Indices = order[serving.released_ms[order] != unknown]
        self._ages: list[int] = (-serving.released_ms[self.titles]).tolist()  # ascending
        popularity, _ = serving.popularity(None)
        self.undiscovered: Indices = self.titles[popularity[self.titles] <= 1.0 - UNDISCOVERED_SHARE]
        self._undiscovered_ages: list[int] = (-serving.released_ms[self.undiscovered]).tolist()  # ascending

    @classmethod
    def of(cls, serving: Serving) -> "Arrivals":
        """The arrivals of a snapshot, worked out by the first request that asks."""
        return serving.once(cls)

    def between(self, since_ms: int, until_ms: int) -> Indices:
        """Titles released after `since_ms`, up to and with `until_ms`, the newest first."""
        return self.titles[bisect_left(self._ages, -until_ms) : bisect_left(self._ages, -since_ms)]

    def undiscovered_at(self, now_ms: int) -> Indices:
        """Titles with few plays that are out, and not for long, the newest first."""
        ages = self._undiscovered_ages
        return self.undiscovered[bisect_left(ages, -now_ms) : bisect_left(ages, UNDISCOVERED_AGE_MS - now_ms)]
