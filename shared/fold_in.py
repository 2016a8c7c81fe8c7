"""Members' vectors from their history and a snapshot's title factors, and the best titles for them. Pure numpy.

The same solution as the offline model's (`offline.models.least_squares`, Rendle et al. 2021, eq. 5), for a few members at a
time and without torch: for a history of titles i with weights w, title factors y and G = sum of y yᵀ over all titles,

    x = (α G + λ I + Σ w y yᵀ)⁻¹ Σ w y,    λ = regularisation · (Σ w + α · titles) ^ exponent.

In the eigenbasis of G, which is worked out once a snapshot, the first two terms are a diagonal D; with the rows of U being
√w y D^(-½), x = D^(-½) (I + UᵀU)⁻¹ Uᵀ√w = D^(-½) Uᵀ (I + U Uᵀ)⁻¹ √w, of which the smaller system is solved.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from shared.errors import SnapshotError

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int32]

FACTORS_ARRAY = "title_factors"
TERMS_ARRAY = "fold_in_terms"
"""Names of what a snapshot holds for folding in; a snapshot whose candidates come from a model without factors has neither."""

SCORES_AT_ONCE = 4_194_304
"""Scores held at a time, 32 MiB with the copy that ranks them, however many titles there are."""


class Terms(NamedTuple):
    """What the solution needs beside the factors, in the order of `fold_in_terms`.

    `unobserved_weight` is α, `regularisation` and `regularisation_exponent` make λ, weights are divided by `weight_scale`,
    and `titles` is how many titles the model was fitted on.
    """

    unobserved_weight: float
    regularisation: float
    regularisation_exponent: float
    weight_scale: float
    titles: float


class History(NamedTuple):
    """What one member watched: title indices (n,), each once, and their weights (n,) above 0 on the scale of the fit's."""

    titles: IndexArray
    weights: FloatArray


class Ranked(NamedTuple):
    """One member's best titles: indices (k,) int32 and scores (k,) float32, best first, equal scores by index."""

    titles: IndexArray
    scores: FloatArray


class FoldIn:
    """One snapshot's title factors, ready to fold histories in. Never changed after it is built.

    Parameters
    ----------
    title_factors : (titles, factors) float32; all zero for a title that the model does not know.
    """

    def __init__(self, title_factors: FloatArray, terms: Terms) -> None:
        self.titles, self.factors = title_factors.shape
        self._terms = terms
        gram = terms.unobserved_weight * (title_factors.T @ title_factors).astype(np.float64)  # (factors, factors)
        eigenvalues, basis = np.linalg.eigh(gram)
        self._spread = eigenvalues.clip(min=0.0).astype(np.float32)  # (factors,)
        self._rotation = basis.astype(np.float32)  # (factors, factors)
        self._rotated: FloatArray = title_factors @ self._rotation  # (titles, factors)
        self._columns = np.ascontiguousarray(title_factors.T)  # (factors, titles)

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]], titles: int) -> Self | None:
        """From a snapshot's arrays; None when its candidates come from a model without factors.

        Parameters
        ----------
        titles : how many titles the snapshot has.

        Raises
        ------
        SnapshotError : the arrays have wrong shapes or values that cannot be.
        """
        factors, terms = arrays.get(FACTORS_ARRAY), arrays.get(TERMS_ARRAY)
        if factors is None and terms is None:
            return None
        if factors is None or terms is None:
            raise SnapshotError(f"a snapshot has one of the arrays {FACTORS_ARRAY!r} and {TERMS_ARRAY!r} and lacks the other")
        if factors.ndim != 2 or len(factors) != titles or not factors.shape[1] or factors.dtype != np.float32:
            raise SnapshotError(
                f"{FACTORS_ARRAY} is {factors.dtype} of shape {factors.shape}; expected float32, one row for each of {titles}"
            )
        if terms.shape != (len(Terms._fields),) or not np.isfinite(terms).all() or (terms < 0).any() or not terms[[1, 3]].all():
            raise SnapshotError(f"{TERMS_ARRAY} is {terms.tolist()}; expected {', '.join(Terms._fields)}, none below 0")
        if not np.isfinite(factors).all():
            raise SnapshotError(f"{FACTORS_ARRAY} has values that are no numbers")
        return cls(factors, Terms(*(float(term) for term in terms)))

    def vectors(self, histories: Sequence[History]) -> FloatArray:
        """The vectors of some members.

        Returns
        -------
        (members, factors) float32; all zero for an empty history, and for one of titles that the model does not know.
        """
        solutions = np.zeros((len(histories), self.factors), np.float32)
        for row, (titles, weights) in enumerate(histories):
            if len(titles):
                solutions[row] = self._solve(titles, weights / np.float32(self._terms.weight_scale))
        vectors: FloatArray = solutions @ self._rotation.T
        return vectors

    def _solve(self, titles: IndexArray, weights: FloatArray) -> FloatArray:
        """One member's vector in the eigenbasis, (factors,)."""
        terms = self._terms
        total = float(weights.sum(dtype=np.float64)) + terms.unobserved_weight * terms.titles
        strength = np.float32(terms.regularisation * total**terms.regularisation_exponent)  # λ
        scale = 1.0 / np.sqrt(self._spread + strength)  # (factors,) D^(-½)
        root = np.sqrt(weights)  # (n,)
        entries = self._rotated[titles] * root[:, None] * scale  # (n, factors) U
        if len(titles) < self.factors:
            right = np.linalg.solve(_shifted(entries @ entries.T), root) @ entries
        else:
            right = np.linalg.solve(_shifted(entries.T @ entries), root @ entries)
        solution: FloatArray = right * scale
        return solution

    def top_k(self, vectors: FloatArray, k: int, exclude: Sequence[IndexArray]) -> list[Ranked]:
        """The best titles of each vector, exactly; scores are products of vectors, as those of the model's own candidates.

        Parameters
        ----------
        vectors : (members, factors) float32.
        exclude : of each member the titles to leave out.

        Returns
        -------
        Of each member at most k titles; none for a vector that is all zero, which says nothing.
        """
        ranked: list[Ranked] = []
        step = max(1, SCORES_AT_ONCE // max(1, self.titles))
        for start in range(0, len(vectors), step):
            ranked += self._top_k(vectors[start : start + step], k, exclude[start : start + step])
        return ranked

    def _top_k(self, vectors: FloatArray, k: int, exclude: Sequence[IndexArray]) -> list[Ranked]:
        if not self.titles:
            return [Ranked(np.zeros(0, np.int32), np.zeros(0, np.float32))] * len(vectors)
        scores = vectors @ self._columns  # (members, titles)
        for row, titles in enumerate(exclude):
            scores[row, titles] = -np.inf
        place = max(0, self.titles - k)
        least = np.partition(scores, place, axis=1)[:, place]  # (members,) the k-th best score; as values, several times
        # as fast as argpartition, and it leaves a tie across the cut to the order of the indices.
        return [_best(scores[row], least[row], k if vector.any() else 0) for row, vector in enumerate(vectors)]


def _best(scores: FloatArray, least: np.float32, k: int) -> Ranked:
    """The k best of one member's scores (titles,), of which k and all ties with the last of them are not below `least`."""
    titles = np.flatnonzero((scores >= least) & (scores > -np.inf))
    best = titles[np.argsort(-scores[titles], kind="stable")[:k]].astype(np.int32)
    return Ranked(best, scores[best])


def _shifted(gram: FloatArray) -> FloatArray:
    """I + gram, in place."""
    gram.flat[:: len(gram) + 1] += 1.0
    return gram
