"""Ranking metrics over whole catalogues, per member, exact and vectorised.

Every metric takes `hits`, `(members, depth)`, true where the title at that rank (the best first) is one of the member's
test titles, and `relevant`, `(members,)`, the number of test titles of the member, at least 1. It returns one value a
member, `(members,)` float64. With R test titles, of which the first k ranks hold H:

    recall@k     H / R                             precision@k   H / k
    hr@k         1 if H > 0                        mrr@k         1 / rank of the first hit within k, else 0
    ndcg@k       Σ_hits 1 / log2(1 + rank), over its greatest value, which has min(k, R) hits on top
    map@k        Σ_hits precision@rank / min(k, R)

These are trec_eval's recall_k, P_k, success_k, recip_rank of a list cut at k, ndcg_cut_k, and, times R / min(k, R), map_cut_k:
trec_eval divides by R, so that no list of k could reach 1 where R > k.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from offline.interactions import BoolArray, Int64Array

FloatArray = npt.NDArray[np.float64]
MemberMetric = Callable[[BoolArray, Int64Array, int], FloatArray]


def recall(hits: BoolArray, relevant: Int64Array, k: int) -> FloatArray:
    """Share of the member's test titles within k."""
    return _share(hits[:, :k].sum(axis=1), relevant)


def precision(hits: BoolArray, relevant: Int64Array, k: int) -> FloatArray:
    """Share of the first k ranks that are test titles."""
    return _share(hits[:, :k].sum(axis=1), k)


def hit_rate(hits: BoolArray, relevant: Int64Array, k: int) -> FloatArray:
    """1 where any test title is within k."""
    return _share(hits[:, :k].any(axis=1), 1)


def reciprocal_rank(hits: BoolArray, relevant: Int64Array, k: int) -> FloatArray:
    """1 / rank of the first test title within k."""
    first: Int64Array = hits[:, :k].argmax(axis=1)
    return _share(hits[:, :k].any(axis=1), 1 + first)


def ndcg(hits: BoolArray, relevant: Int64Array, k: int) -> FloatArray:
    """Discounted gain over that of the ideal ranking (Järvelin and Kekäläinen 2002), binary."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))  # (k,)
    ideal = np.cumsum(discount)[np.minimum(relevant, k) - 1]  # (members,)
    within = hits[:, :k]
    return _share(within @ discount[: within.shape[1]], ideal)


def average_precision(hits: BoolArray, relevant: Int64Array, k: int) -> FloatArray:
    """Mean over the test titles of the precision at their ranks; those beyond k count 0."""
    within = hits[:, :k]
    at_rank = np.cumsum(within, axis=1) / np.arange(1, within.shape[1] + 1)  # (members, k)
    return _share((at_rank * within).sum(axis=1), np.minimum(relevant, k))


MEMBER_METRICS: dict[str, MemberMetric] = {
    "recall": recall,
    "ndcg": ndcg,
    "hr": hit_rate,
    "precision": precision,
    "mrr": reciprocal_rank,
    "map": average_precision,
}


def find_hits(ranked: npt.NDArray[np.int32], test: sparse.csr_array[np.float32]) -> BoolArray:
    """Mark which ranked titles are test titles.

    Parameters
    ----------
    ranked : `(members, depth)` title indices, -1 where a list is shorter.
    test : `(members, titles)` CSR; every stored entry is a test title.
    """
    width = test.shape[1]
    members = np.repeat(np.arange(test.shape[0], dtype=np.int64), np.diff(test.indptr))
    wanted = np.sort(members * width + test.indices)
    cells = np.arange(len(ranked), dtype=np.int64)[:, None] * width + ranked  # (members, depth)
    place = np.searchsorted(wanted, cells)
    found = np.take(wanted, place, mode="clip") == cells if wanted.size else np.zeros(cells.shape, np.bool_)
    hits: BoolArray = found & (ranked >= 0)
    return hits


def _share(part: npt.ArrayLike, whole: npt.ArrayLike) -> FloatArray:
    share: FloatArray = np.asarray(part, np.float64) / np.asarray(whole, np.float64)
    return share
