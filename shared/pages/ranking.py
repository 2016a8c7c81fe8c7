"""The open titles in order of their score. Pure."""

from dataclasses import dataclass

import numpy as np

from shared.pages.blending import Blend
from shared.pages.serving import Indices, Mask, Scores


@dataclass(frozen=True, slots=True)
class Ranking:
    """`order` (n,) int32 holds the open titles, best first; `scores` (titles,) float32 are those of all titles."""

    order: Indices
    scores: Scores

    def among(self, mask: Mask) -> Indices:
        """The ranked titles that a (titles,) mask includes, best first."""
        return self.order[mask[self.order]]


def rank(blend: Blend) -> Ranking:
    """Order the open titles by score; equal scores keep the order of their indices, on every machine."""
    titles = np.flatnonzero(blend.is_open)
    # A float that is not negative orders like its bits. With the index below them, a plain sort of integers, which is several
    # times as fast as a stable argsort, orders scores and ties at once.
    bits = blend.scores[titles].view(np.uint32).astype(np.uint64)  # (n,)
    ordered = np.sort(((np.uint64(0xFFFFFFFF) - bits) << np.uint64(32)) | titles.astype(np.uint64))
    return Ranking(order=(ordered & np.uint64(0xFFFFFFFF)).astype(np.int32), scores=blend.scores)
