"""The first titles of all drafts as one array, so that what every draft offers is found in a few operations. Pure."""

from collections.abc import Sequence

import numpy as np

from shared.pages.policies.view import PageView, Places
from shared.pages.serving import Mask, Scores

_SCORED = 10
"""First cells of a row by which it is followed how its relevance falls as its titles are taken."""
_WINDOW = 20
"""First titles of a draft that are looked at for those cells; the others stand in when rows above took some."""
_ALONG = np.arange(_WINDOW)
_TINY = np.float32(1e-12)  # gives titles that are worth nothing a genre too
_SUMS = np.triu(np.ones((_WINDOW, _WINDOW), dtype=np.float32))  # a row of zeros and ones times it is their cumulative sum


class Windows:
    """What the first titles of each draft are worth, and of which genres they are.

    Parameters
    ----------
    flat : (all titles,) intp, the titles of all drafts one after the other.
    lengths : how many titles each draft has.

    Attributes
    ----------
    mix : (drafts, columns) float32, what a draft offers by column of `genre_shares` for each unit of relevance. It is that of the
        draft's first cells on an empty page; looking at it anew as titles are taken gave no better pages.
    """

    def __init__(self, flat: Places, lengths: Sequence[int], view: PageView) -> None:
        sizes = np.array(lengths, dtype=np.intp)[:, None]  # (drafts, 1)
        at = (sizes.cumsum(axis=0) - sizes) + _ALONG  # (drafts, window)
        is_there = sizes > _ALONG
        at *= is_there
        self._titles = (flat if len(flat) else np.zeros(1, dtype=np.intp)).take(at)  # (drafts, window)
        self._weights = weights(self._titles, view)  # (drafts, window)
        self._weights += _TINY
        self._weights *= is_there
        right = view.attention.right[: view.row_length]  # (cells,)
        scored = right[:_SCORED]
        self._right = np.zeros(_WINDOW + 1, dtype=np.float32)  # by the number of titles up to a cell, itself included
        self._right[1 : 1 + len(scored)] = scored
        seen = self._weights[:, : len(scored)] * scored  # (drafts, scored)
        shares = view.genre_shares.take(self._titles[:, : len(scored)], axis=0)  # (drafts, scored, columns)
        self.mix = np.matmul(seen[:, None, :], shares)[:, 0, :]  # (drafts, columns)
        relevance = np.maximum(self.mix[:, -1:], _TINY)  # (drafts, 1)
        self._weights *= 1.0 + self._further(right, sizes[:, 0])[:, None] / relevance
        self.mix /= relevance

    def _further(self, right: Scores, sizes: Places) -> Scores:
        """What the cells after the scored ones are worth on an empty page, (drafts,) float32.

        Beyond the window every title counts as its last one.
        """
        near, beyond = right[_SCORED:_WINDOW], right[_WINDOW:]
        found: Scores = self._weights[:, _SCORED : _SCORED + len(near)].dot(near)  # (drafts,)
        if len(beyond):
            attention = np.append(np.float32(0.0), beyond.cumsum())  # by the number of titles beyond the window
            found += self._weights[:, -1] * attention.take(np.clip(sizes - _WINDOW, 0, len(beyond)))
        return found

    def relevance(self, is_free: Mask) -> Scores:
        """What each draft would be worth if it came next, (drafts,) float32.

        Its first cells are looked at; the further ones gain or lose in proportion.
        """
        is_shown = is_free.take(self._titles).astype(np.float32)  # (drafts, window)
        attention = self._right.take(is_shown.dot(_SUMS).astype(np.intp))  # (drafts, window)
        attention *= is_shown
        relevance: Scores = np.vecdot(attention, self._weights)  # (drafts,)
        return relevance

    def rescale(self, unit: np.float32) -> None:
        """Count in other units from here on."""
        self._weights /= unit


def weights(titles: Places, view: PageView) -> Scores:
    """What titles are worth to the member, more for new ones; the shape of `titles`, float32."""
    found = view.scores.take(titles)
    if view.freshness is not None:
        found *= np.float32(1.0) + np.float32(view.settings.freshness) * view.freshness.take(titles)
    return found
