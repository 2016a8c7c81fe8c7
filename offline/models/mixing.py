"""Several models' lists for the same members made into one, and the weights that make it best. Pure; called by the blend.

Scores of different models do not compare, so each list is standardised for itself: how many standard deviations of the list's
scores a title lies above the list's last one. A title that a list does not name has 0 there, as its last one does.
"""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offline.evaluation.ranking import ndcg
from offline.interactions import BoolArray, Int64Array
from offline.models.topk import TopK

FloatArray = npt.NDArray[np.float32]

FIRST_STEP, LAST_STEP = 0.5, 1 / 32
LEAST_GAIN = 1e-6


class Union(NamedTuple):
    """The titles that any of the lists names, for each member in order of their indices.

    Attributes
    ----------
    titles : `(n, width)` int32, -1 where a member has fewer.
    scores : `(sources, n, width)` float32 as the sources gave them, NaN where a source does not name the title.
    standard : `(sources, n, width)` float32, comparable across sources.
    """

    titles: npt.NDArray[np.int32]
    scores: FloatArray
    standard: FloatArray


def unite(lists: Sequence[TopK], depth: int) -> Union:
    """Lay lists of the same members over each other.

    Parameters
    ----------
    lists : one of each source, `(n, length)`.
    depth : standard deviation and last score are those of a list's first `depth` titles, so that they are the same for
        however many are asked for.
    """
    named = np.concatenate([one.titles for one in lists], axis=1)  # (n, sources x length)
    members, length = named.shape[0], named.shape[1] // len(lists)
    order = np.argsort(named, axis=1, kind="stable")
    ascending = np.take_along_axis(named, order, axis=1)
    first = (np.diff(ascending, axis=1, prepend=-1) > 0) & (ascending >= 0)
    place = np.cumsum(first, axis=1) - 1  # (n, sources x length) column of the union
    width = int(place.max(initial=-1)) + 1
    rows, columns = np.nonzero(ascending >= 0)
    source, rank = np.divmod(order[rows, columns], max(1, length))
    titles = np.full((members, width), -1, np.int32)
    titles[rows, place[rows, columns]] = ascending[rows, columns]
    scores = np.full((len(lists), members, width), np.nan, np.float32)
    standard = np.zeros((len(lists), members, width), np.float32)
    given = np.stack([one.scores for one in lists])  # (sources, n, length)
    above = np.stack([_standardised(one, depth) for one in lists])
    standard += np.minimum(0, above.min(axis=2, initial=0))[:, :, None]
    scores[source, rows, place[rows, columns]] = given[source, rows, rank]
    standard[source, rows, place[rows, columns]] = above[source, rows, rank]
    return Union(titles, scores, standard)


def mix(union: Union, weights: FloatArray, k: int) -> tuple[TopK, FloatArray]:
    """The best k titles by the weighted sum of the standardised scores, equal ones by index.

    Returns
    -------
    The ranking, and the sources' own scores of its titles, `(sources, n, k)`, NaN where a source does not name the title.
    """
    members = len(union.titles)
    blended = np.tensordot(weights, union.standard, axes=1)  # (n, width)
    blended[union.titles < 0] = -np.inf
    order = np.argsort(-blended, axis=1, kind="stable")[:, :k]
    titles = np.full((members, k), -1, np.int32)
    scores = np.full((members, k), -np.inf, np.float32)
    own = np.full((len(weights), members, k), np.nan, np.float32)
    kept = order.shape[1]
    titles[:, :kept] = np.take_along_axis(union.titles, order, axis=1)
    scores[:, :kept] = np.take_along_axis(blended, order, axis=1)
    own[:, :, :kept] = np.take_along_axis(union.scores, order[None], axis=2)
    return TopK(titles, scores), own


def best_weights(union: Union, hits: BoolArray, relevant: Int64Array, cut: int) -> tuple[FloatArray, float]:
    """Weights of at least 0 that sum to 1 and give the greatest mean NDCG@`cut`, and that mean.

    Starts from the best single source, or all alike if that is better, and moves weight from one source to another, in
    steps that are halved when none helps. So it is never worse, on these members, than the best source alone.

    Parameters
    ----------
    hits : `(n, width)` whether each of the union's titles is one to be found.
    relevant : `(n,)` how many there are to be found, at least 1.
    """
    value_of = _ndcg_of(union, hits, relevant, cut)
    sources = len(union.standard)
    starts = [*np.eye(sources), np.full(sources, 1 / sources)]
    values = [value_of(start) for start in starts]
    best = int(np.argmax(values))
    weights, value = starts[best], values[best]
    step = FIRST_STEP
    while step >= LAST_STEP and sources > 1:
        improved = False
        for giver, taker in permutations(range(sources), 2):
            moved = weights.copy()
            amount = min(step, moved[giver])
            moved[giver] -= amount
            moved[taker] += amount
            if amount > 0 and (found := value_of(moved)) > value + LEAST_GAIN:
                weights, value, improved = moved, found, True
        if not improved:
            step /= 2
    return weights.astype(np.float32), value


def _ndcg_of(union: Union, hits: BoolArray, relevant: Int64Array, cut: int) -> Callable[[npt.NDArray[np.float64]], float]:
    """The mean NDCG of some weights."""
    there = union.titles >= 0  # (n, width)
    reach = min(cut, there.shape[1])

    def value_of(weights: npt.NDArray[np.float64]) -> float:
        blended = np.tensordot(weights.astype(np.float32), union.standard, axes=1)  # (n, width)
        blended[~there] = -np.inf
        nearest = np.argpartition(-blended, reach - 1, axis=1)[:, :reach]
        order = np.argsort(-np.take_along_axis(blended, nearest, axis=1), axis=1, kind="stable")
        ranked = np.take_along_axis(nearest, order, axis=1)  # (n, reach)
        return float(ndcg(np.take_along_axis(hits, ranked, axis=1), relevant, cut).mean())

    return value_of


def _standardised(one: TopK, depth: int) -> FloatArray:
    """Standard deviations above the last of the first `depth` titles, `(n, length)`; below 0 beyond them."""
    found = one.titles >= 0
    inside = found & (np.arange(found.shape[1]) < depth)
    count = np.maximum(inside.sum(axis=1, keepdims=True), 1)
    scores = np.where(found, one.scores, 0).astype(np.float64)
    mean = np.where(inside, scores, 0).sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(inside, scores - mean, 0) ** 2).sum(axis=1, keepdims=True) / count)
    last = np.where(inside, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    last = np.where(np.isfinite(last), last, 0)
    # A list whose scores are all alike says of each title no more than that it is there.
    above = np.divide(scores - last, spread, out=np.ones_like(scores), where=spread > 1e-9)
    return np.where(found, above, 0).astype(np.float32)
