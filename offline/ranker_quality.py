"""How well scores order the cells of pages that were shown, judged by what was played, beside the blend's own scores.

What was played depends on where it stood. NDCG takes plays as they are, and so flatters whatever the pages were ordered by. The
unbiased gain weighs each play by 1 over the chance that its place was looked at, relative to the first cell, over all pages
together, which takes that out (self-normalised inverse propensity scoring: Joachims et al. 2017, "Unbiased learning-to-rank with
biased feedback", eq. 4; within pages, NDCG's own normalisation would cancel the weights).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from offline.models.ranker import RankerModel
from offline.ranker_examples import Examples

LEAST_EXAMINATION = 0.1
"""A play counts as at most ten: those of places that hardly anybody looks at would decide alone."""

FloatArray = npt.NDArray[np.floating[Any]]


def ndcg(examples: Examples, scores: FloatArray, gains: FloatArray) -> npt.NDArray[np.float64]:
    """NDCG of the cells of each page, (pages,), by ascending number; NaN for a page without gains or with one cell.

    Ties are broken by chance, as the order of the cells would give away where each stood.

    Parameters
    ----------
    scores : (n,) higher is better.
    gains : (n,) none below 0.
    """
    _, page, sizes = np.unique(examples.pages, return_inverse=True, return_counts=True)  # page: (n,)
    found = _discounted(page, gains, _order(page, scores), sizes)
    ideal = _discounted(page, gains, np.lexsort((-gains, page)), sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((ideal > 0) & (sizes > 1), found / ideal, np.nan)


def unbiased_gain(examples: Examples, scores: FloatArray, examination: FloatArray) -> float:
    """The mean discount, 1 / log2(1 + rank), that a title which was wanted has in its page's order: 1 where all stand first.

    Parameters
    ----------
    examination : (n,) the chance that each cell was looked at, relative to the first.
    """
    wanted = examples.labels / np.clip(examination, LEAST_EXAMINATION, 1.0)  # (n,)
    _, page, sizes = np.unique(examples.pages, return_inverse=True, return_counts=True)
    total = wanted.sum()
    return float(_discounted(page, wanted, _order(page, scores), sizes).sum() / total) if total else 0.0


def judge(model: RankerModel, held_out: Examples) -> dict[str, float]:
    """The ranker and the blend on held-out pages: mean NDCG, unbiased gain by the ranker's own examination, and the pages."""
    examination = model.examination(held_out)
    figures = {"pages": float(len(np.unique(held_out.pages)))}
    for name, scores in (("ranker", model.chances(held_out)), ("blend", held_out.blend)):
        values = ndcg(held_out, scores, held_out.labels)
        judged = values[np.isfinite(values)]
        figures[f"{name}_ndcg"] = float(judged.mean()) if judged.size else 0.0
        figures[f"{name}_unbiased_gain"] = unbiased_gain(held_out, scores, examination)
    return figures


def _order(page: npt.NDArray[np.intp], scores: FloatArray) -> npt.NDArray[np.intp]:
    """Cells by page, the best score first, ties by chance."""
    return np.lexsort((np.random.default_rng(0).random(len(page)), -scores, page))


def _discounted(
    page: npt.NDArray[np.intp], gains: FloatArray, order: npt.NDArray[np.intp], sizes: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Discounted gain of each page, (pages,), with its cells in an order by page."""
    ends = np.cumsum(sizes)
    place = np.arange(len(page)) - np.repeat(ends - sizes, sizes)  # (n,) within the page
    discounted = (gains[order] / np.log2(place + 2.0)).astype(np.float64)
    return np.bincount(page[order], discounted, len(sizes)).astype(np.float64)
