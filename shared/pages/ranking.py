"""A pool's titles in order of their score. Pure."""

from dataclasses import dataclass

import numpy as np

from shared.pages.blending import Pool
from shared.pages.serving import Indices, Mask, Scores


@dataclass(frozen=True, slots=True)
class Ranking:
    """The pool in order.

    Attributes
    ----------
    order : (n,) int32, the pool's titles, best first.
    scores : (titles,) float32 of all titles of the catalogue; 0 outside the pool.
    is_open, is_outside : (titles,) bool, what may be recommended, and what of it the pool does not have.
    """

    order: Indices
    scores: Scores
    is_open: Mask
    is_outside: Mask

    def among(self, mask: Mask, tail: Indices | None = None, enough: int = 80) -> Indices:
        """The ranked titles that a (titles,) mask includes, best first.

        Parameters
        ----------
        tail : where there are fewer than `enough`, go on with the open ones of these, in their order.
        """
        ranked = self.order[mask[self.order]]
        if tail is None or len(ranked) >= enough:
            return ranked
        more = tail[: 2 * enough]
        more = more[self.is_outside[more]]
        if len(ranked) + len(more) < enough and len(tail) > 2 * enough:
            more = tail[self.is_outside[tail]]
        return np.concatenate([ranked, more[: enough - len(ranked)]])


def rank(pool: Pool, scores: Scores | None = None) -> Ranking:
    """Order the pool by score; equal scores keep the order of their indices, on every machine.

    Parameters
    ----------
    scores : (n,) float32, none negative; None takes the blend's own.
    """
    of_pool = pool.scores if scores is None else scores
    # A float that is not negative orders like its bits. With the place below them, a plain sort of integers, which is several
    # times as fast as a stable argsort, orders scores and ties at once.
    bits = np.ascontiguousarray(of_pool, dtype=np.float32).view(np.uint32).astype(np.uint64)  # (n,)
    keys = ((np.uint64(0xFFFFFFFF) - bits) << np.uint64(32)) | np.arange(len(bits), dtype=np.uint64)
    keys.sort()
    order = pool.titles[keys.astype(np.uint32)]
    dense = np.zeros(len(pool.is_open), dtype=np.float32)
    dense[pool.titles] = of_pool
    return Ranking(order=order, scores=dense, is_open=pool.is_open, is_outside=pool.is_open & (pool.places == 0))
