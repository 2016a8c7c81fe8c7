"""Members' plays in order, on end, with what the encoder is told of each: from `Interactions`, for training and inference.

The order is that of the times; plays at one time are in order of the title's index. Where there are no times, the order is
that of the title's index when recommending, and drawn anew each epoch when training, so that no order is learnt.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from offline.interactions import BoolArray, Int64Array, Interactions
from shared.sequence_inference import gap_buckets


@dataclass(frozen=True)
class Histories:
    """Plays of all members.

    Attributes
    ----------
    start : `(members + 1,)` where each member's plays begin.
    titles : `(plays,)` index of the title.
    gaps : `(plays,)` bucket of the time since the play before.
    shares : `(plays,)` float32, log(1 + weight / mean weight of the fit).
    in_order : whether the order means anything.
    """

    start: Int64Array
    titles: Int64Array
    gaps: Int64Array
    shares: npt.NDArray[np.float32]
    in_order: bool

    @classmethod
    def of(cls, interactions: Interactions, mean_weight: float) -> Self:
        """Put plays in order; stored zeros (seen, without interest) are none."""
        matrix, at_ms = interactions.matrix, interactions.at_ms
        kept = np.flatnonzero(matrix.data > 0)
        if at_ms is not None:
            kept = kept[np.lexsort((at_ms[kept], interactions.entry_members[kept]))]
        lengths = np.bincount(interactions.entry_members[kept], minlength=matrix.shape[0])
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        gaps = np.zeros(len(kept), np.int64)
        if at_ms is not None and len(kept):
            gaps = gap_buckets(np.diff(at_ms[kept], prepend=0))
            gaps[start[:-1][lengths > 0]] = 0
        shares = np.log1p(matrix.data[kept] / np.float32(mean_weight)).astype(np.float32)
        return cls(start, matrix.indices[kept].astype(np.int64), gaps, shares, at_ms is not None)

    @property
    def lengths(self) -> Int64Array:
        """Plays of each member, `(members,)`."""
        return np.diff(self.start)

    def where(self, keep: BoolArray) -> Self:
        """The plays for which `keep`, `(plays,)`, is true."""
        start = np.concatenate([[0], np.cumsum(keep)])[self.start]
        return replace(self, start=start, titles=self.titles[keep], gaps=self.gaps[keep], shares=self.shares[keep])

    def shuffled(self, random: np.random.Generator) -> Self:
        """Each member's plays in an order drawn at random; the same histories where the order means something."""
        if self.in_order:
            return self
        members = np.repeat(np.arange(len(self.start) - 1), self.lengths)
        order = np.lexsort((random.random(len(members)), members))
        return replace(self, titles=self.titles[order], shares=self.shares[order])
