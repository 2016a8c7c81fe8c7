"""What kind of titles a list shows, whether or not they were the right ones: novelty, popularity, diversity.

Lists come in as title indices, `(members, k)` int32, -1 where a list is shorter; one value a member goes out, `(members,)`
float64, NaN where a list or history says nothing.
"""

from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from offline.evaluation.ranking import FloatArray
from offline.interactions import Interactions

Shown = npt.NDArray[np.int32]
Sparse: TypeAlias = "sparse.csr_array[np.float32]"

CELLS = 8_000_000  # of a dense or nearly dense intermediate result


class Plays:
    """What the training data say of each title.

    Attributes
    ----------
    members : how many members there are.
    members_of : `(titles,)` how many of them have each title; at least 1, for the catalogue is what was played.
    """

    def __init__(self, train: Interactions) -> None:
        self._matrix = train.matrix
        self.members = len(train.member_ids)
        self.members_of = np.maximum(1, np.bincount(train.matrix.indices, minlength=len(train.title_ids)))

    @cached_property
    def percentile(self) -> FloatArray:
        """`(titles,)` each title's mid-rank by plays among all, from 0 (rarest) to 1."""
        rank: FloatArray = (stats.rankdata(self.members_of) - 0.5) / len(self.members_of)
        return rank

    @cached_property
    def audience(self) -> Sparse:
        """`(titles, members)` who has each title, rows of length 1."""
        return unit_rows(sparse.csr_array(self._matrix.T.tocsr()))


def novelty(shown: Shown, plays: Plays) -> FloatArray:
    """Mean self-information of the titles shown, -log2 of the share of members who have each (Zhou et al. 2010), in bits."""
    return _mean_of(shown, -np.log2(plays.members_of / plays.members))


def popularity(shown: Shown, plays: Plays) -> FloatArray:
    """Mean percentile of popularity of the titles shown: 0.5 for a list drawn at random, near 1 for the most played."""
    return _mean_of(shown, plays.percentile)


def popularity_lift(shown: Shown, plays: Plays, histories: Sparse) -> FloatArray:
    """How much more played the titles shown are than those of the member's history, as a share of the latter.

    The popularity lift of Abdollahpouri et al. 2020, "The connection between popularity bias, calibration, and fairness in
    recommendation", of each member: 0 keeps to the member's own taste for the popular, 1 shows titles twice as popular.

    Parameters
    ----------
    histories : `(members, titles)`; stored zeros do not count.
    """
    played = plays.members_of.astype(np.float64)
    had = ones(histories)
    with np.errstate(invalid="ignore"):
        usual = (had @ played) / had.sum(axis=1)  # (members,)
    lift: FloatArray = _mean_of(shown, played) / usual - 1
    return lift


def diversity(shown: Shown, vectors: Sparse) -> FloatArray:
    """Intra-list diversity: the mean over pairs of 1 - cosine (Ziegler et al. 2005; Vargas and Castells 2011).

    The sum over pairs comes from the length of the summed vector, |Σv|² = Σ|v|² + 2 Σ_pairs cos, so that no pair is looked at.

    Parameters
    ----------
    vectors : `(titles, features)`, rows of length 1 (`unit_rows`); a title whose row is empty is left out of the pairs.
    """
    described = (np.diff(vectors.indptr) > 0).astype(np.float64)
    found = np.empty(len(shown))
    step = max(1, CELLS // max(1, vectors.shape[1]))
    for start in range(0, len(shown), step):
        lists = indicator(shown[start : start + step], vectors.shape[0])
        summed = lists @ vectors  # (block, features)
        squares: Any = summed.multiply(summed).sum(axis=1, dtype=np.float64)  # (block,)
        count: Any = lists @ described  # (block,) titles shown that are described
        with np.errstate(invalid="ignore", divide="ignore"):
            found[start : start + step] = 1 - (squares - count) / (count * (count - 1))
    found[~np.isfinite(found)] = np.nan
    return found


def unit_rows(matrix: Sparse) -> Sparse:
    """Rows of 0 and 1, divided by their length; stored zeros are dropped."""
    kept = ones(matrix)
    length = np.sqrt(np.diff(kept.indptr))
    kept.data = (1 / np.repeat(length, np.diff(kept.indptr))).astype(np.float32)
    return kept


def ones(matrix: Sparse) -> Sparse:
    """The same entries as 1 each; stored zeros are dropped."""
    kept = matrix.astype(np.float32, copy=True)
    kept.eliminate_zeros()
    kept.data[:] = 1
    return kept


def indicator(shown: Shown, titles: int) -> Sparse:
    """`(members, titles)`, 1 where a title is shown."""
    there = shown >= 0
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return sparse.csr_array((np.ones(indptr[-1], np.float32), shown[there], indptr), shape=(len(shown), titles))


def _mean_of(shown: Shown, values: FloatArray) -> FloatArray:
    there = shown >= 0
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(there, values[shown], 0.0).sum(axis=1) / there.sum(axis=1)
    return mean
