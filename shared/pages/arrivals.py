"""A catalogue's titles by their release, and those of them that hardly anybody has found yet. Pure."""

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
        self._ages = -serving.released_ms[self.titles]  # (n,) ascending
        popularity, _ = serving.popularity(None)
        self.undiscovered: Indices = self.titles[popularity[self.titles] <= 1.0 - UNDISCOVERED_SHARE]
        self._undiscovered_ages = -serving.released_ms[self.undiscovered]  # (m,) ascending

    @classmethod
    def of(cls, serving: Serving) -> "Arrivals":
        """The arrivals of a snapshot, worked out by the first request that asks."""
        return serving.once(cls)

    def between(self, since_ms: int, until_ms: int) -> Indices:
        """Titles released after `since_ms`, up to and with `until_ms`, the newest first."""
        return self.titles[np.searchsorted(self._ages, -until_ms) : np.searchsorted(self._ages, -since_ms)]

    def undiscovered_at(self, now_ms: int) -> Indices:
        """Titles with few plays that are out, and not for long, the newest first."""
        first, last = np.searchsorted(self._undiscovered_ages, (-now_ms, UNDISCOVERED_AGE_MS - now_ms))
        return self.undiscovered[first:last]
