"""Members' plays in order, on end, with what the encoder is told of each: from `Interactions`, for training and inference.

The order is that of the times. Where those say nothing, for plays at one time and for all where there are no times, it is that
of the title's index when recommending, and drawn anew each epoch when training, so that none is learnt.
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
    moment : `(plays,)` number of the play's time, ascending over all members; of plays with the same one the order says nothing.
    """

    start: Int64Array
    titles: Int64Array
    gaps: Int64Array
    shares: npt.NDArray[np.float32]
    moment: Int64Array

    @classmethod
    def of(cls, interactions: Interactions, mean_weight: float) -> Self:
        """Put plays in order; stored zeros (seen, without interest) are none."""
        matrix, at_ms = interactions.matrix, interactions.at_ms
        kept = np.flatnonzero(matrix.data > 0)
        if at_ms is not None:
            kept = kept[np.lexsort((at_ms[kept], interactions.entry_members[kept]))]
        lengths = np.bincount(interactions.entry_members[kept], minlength=matrix.shape[0])
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        gap_ms = np.zeros(len(kept), np.int64) if at_ms is None else np.diff(at_ms[kept], prepend=0)
        first = start[:-1][lengths > 0]
        gap_ms[first] = 0
        later = gap_ms > 0
        later[first] = True
        shares = np.log1p(matrix.data[kept] / np.float32(mean_weight)).astype(np.float32)
        return cls(start, matrix.indices[kept].astype(np.int64), gap_buckets(gap_ms), shares, np.cumsum(later))

    @property
    def lengths(self) -> Int64Array:
        """Plays of each member, `(members,)`."""
        return np.diff(self.start)

    def where(self, keep: BoolArray) -> Self:
        """The plays for which `keep`, `(plays,)`, is true."""
        start = np.concatenate([[0], np.cumsum(keep)])[self.start]
        return type(self)(start, self.titles[keep], self.gaps[keep], self.shares[keep], self.moment[keep])

    def shuffled(self, random: np.random.Generator) -> Self:
        """Plays of one moment in an order drawn at random; the same histories where there are none."""
        if (np.diff(self.moment) > 0).all():
            return self
        order = np.lexsort((random.random(len(self.moment)), self.moment))
        return replace(self, titles=self.titles[order], shares=self.shares[order])
