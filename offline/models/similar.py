"""Titles like a title, with the evidence: the members who watched both.

A neighbour's iALS vector must point the same way, which says that the members of the one would like the other, whatever the
popularity of either; and members must have watched both, since few of them are chance, and the vectors of rarely played titles
are mostly noise.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.models.links import Links, strongest
from offline.models.parallel import Workers
from shared.errors import InputError

FloatArray = npt.NDArray[np.float32]

_CELLS = 4_194_304
"""Of a block of titles x titles, were every pair watched together."""

_PAIRS = 131_072
"""Of titles, whose vectors are multiplied at a time."""


class Similar(NamedTuple):
    """Neighbours of every title, the best first, equal ones in order of their index.

    `titles` is `(titles, k)` int32, `scores` `(titles, k)` float32 and `together`, the members who watched both, `(titles, k)`
    int64. Where a title has fewer than k neighbours, the rest of the row is -1, -inf and 0.
    """

    titles: npt.NDArray[np.int32]
    scores: FloatArray
    together: npt.NDArray[np.int64]


def similar_titles(title_factors: FloatArray, histories: sparse.csr_array[np.float32], k: int, shrinkage: float = 5.0) -> Similar:
    """Rank the neighbours of every title: cosine of the vectors x c / (c + shrinkage), where c members watched both.

    Parameters
    ----------
    title_factors : `(titles, factors)`, `IALS.title_factors`.
    histories : `(members, titles)` CSR; entries above 0 are watched.
    k : neighbours a title.
    shrinkage : members who watched both at which a cosine counts half.

    Returns
    -------
    Similar : scores lie in (0, 1]; a title is never its own neighbour, nor is one that nobody watched together with it.

    Raises
    ------
    InputError : the arrays do not fit together, k is below 1, or `shrinkage` is negative.
    """
    count = len(title_factors)
    if histories.shape[1] != count:
        raise InputError(f"the histories are over {histories.shape[1]} titles; expected {count}, as there are vectors")
    if k < 1:
        raise InputError(f"k is {k}; expected at least 1")
    if not shrinkage >= 0:
        raise InputError(f"shrinkage is {shrinkage}; expected 0 or more")
    watched = sparse.csr_array((histories.data > 0, histories.indices, histories.indptr), shape=histories.shape).astype(np.int32)
    watched.eliminate_zeros()
    by_title = watched.T.tocsr()  # (titles, members)
    direction = _directions(title_factors)  # (titles, factors)
    found = Similar(np.full((count, k), -1, np.int32), np.full((count, k), -np.inf, np.float32), np.zeros((count, k), np.int64))

    def search(start: int) -> None:
        together: Any = (by_title[start : start + step] @ watched).tocsr()  # (block, titles)
        together.sort_indices()
        title = start + np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))  # (pairs,)
        trust = together.data / (together.data + shrinkage)  # (pairs,)
        score = np.where(title == together.indices, 0.0, trust * _cosines(direction, title, together.indices))  # (pairs,)
        _keep(found, start, together, score.clip(0.0, 1.0).astype(np.float32))

    step = max(1, _CELLS // max(1, count))
    with Workers(torch.device("cpu")) as workers:
        workers.for_each(search, range(0, count, step))
    return found


def _keep(found: Similar, start: int, together: Links, score: FloatArray) -> None:
    """Write the best of some rows, the first of which is `start`, into the outcome."""
    k = found.titles.shape[1]
    best = strongest(sparse.csr_array((score, together.indices.copy(), together.indptr.copy()), shape=together.shape), k)
    row = np.repeat(np.arange(best.shape[0]), np.diff(best.indptr))  # (kept,)
    order = np.lexsort((best.indices, -best.data, row))
    place = np.arange(len(row)) - best.indptr[row]
    titles = best.indices[order]
    if not len(titles):
        return
    found.titles[start + row, place] = titles
    found.scores[start + row, place] = best.data[order]
    found.together[start + row, place] = together[row, titles]


def _directions(factors: FloatArray) -> FloatArray:
    length = np.linalg.norm(factors, axis=1, keepdims=True)
    directions: FloatArray = np.divide(factors, length, out=np.zeros_like(factors), where=length > 0)
    return directions


def _cosines(direction: FloatArray, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> FloatArray:
    """Cosines of pairs of titles, `(pairs,)`."""
    cosines = np.empty(len(one), np.float32)
    for start in range(0, len(one), _PAIRS):
        pairs = slice(start, start + _PAIRS)
        cosines[pairs] = np.einsum("pf,pf->p", direction[one[pairs]], direction[other[pairs]])
    return cosines
