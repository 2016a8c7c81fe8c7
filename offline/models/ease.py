"""EASE: the linear item model of least squares in closed form, for catalogues whose weights between all titles fit in memory.

Steck (2019), "Embarrassingly shallow autoencoders for sparse data": with G = XᵀX and P = (G + Λ)⁻¹, the weights are
B = -P / diag(P), column by column, and 0 from a title to itself. Steck (2020), "Autoencoders that don't overfit towards the
identity", makes Λ grow with how often a title occurs, as drop-out of the input would.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import lapack

from offline.interactions import Interactions
from offline.models.contract import Arrays
from offline.models.item_scores import add_dense, add_sparse
from offline.models.linear import FloatArray, Histories, Linear, LinearSettings
from offline.models.parallel import Workers
from offline.models.topk import CPU, Scorer
from shared.errors import InputError, ModelError

BYTES_A_CELL = 12
"""At the most, of titles²: the factors in float64, and the weights in float32."""

_ROWS = 256


class EASESettings(LinearSettings, frozen=True):
    """What to fit. The regularisation is relative to the data, so that it means the same whatever their size and scale."""

    weight_exponent: float = 0.5
    regularisation: float = 8.0  # λ over the mean of diag(G)
    regularisation_exponent: float = 0.5  # 0 regularises all titles alike, 1 by how often each occurs
    member_exponent: float = 0.25  # a member of n titles counts n^(-2 x this) a title; 0: as many as it has
    most_titles: int = 12_000  # in memory 12 bytes x titles², 1.6 GiB; in time titles³ operations

    def __post_init__(self) -> None:
        if not self.regularisation > 0:
            raise InputError(f"ease: regularisation is {self.regularisation}; expected above 0")
        if self.most_titles < 1:
            raise InputError(f"ease: most_titles is {self.most_titles}; expected at least 1")


class EASE(Linear[EASESettings]):
    """Weights between titles that tell each title of a history from the others.

    Attributes
    ----------
    weights : `(titles, titles)` float32; row i holds what title i adds to the score of each.
    """

    name: ClassVar[str] = "ease"
    settings_type = EASESettings

    weights: FloatArray

    def _check_size(self, interactions: Interactions) -> None:
        titles, most = len(interactions.title_ids), self.settings.most_titles
        if titles > most:
            raise ModelError(
                f"ease: {titles:,} titles are more than most_titles, {most:,}, and would take "
                f"{BYTES_A_CELL * titles**2 / 2**30:.1f} GiB; use the model 'graph', or set most_titles higher"
            )

    def _learn(self, histories: Histories) -> None:
        gram = _gram(histories, self.settings.member_exponent)  # (titles, titles)
        often = gram.diagonal().copy()  # (titles,)
        mean = often[often > 0].mean()
        # A title that nobody watched is told by nothing and tells nothing; any penalty above 0 will do.
        penalty = (
            self.settings.regularisation
            * mean
            * (np.where(often > 0, often, mean) / mean) ** (self.settings.regularisation_exponent)
        )
        gram.flat[:: len(gram) + 1] += penalty
        self.weights = _weights_of_inverse(_inverse(gram.T))  # symmetric; so it lies in memory as LAPACK has it

    def _scorer(self, histories: Histories) -> Scorer:
        def score(rows: slice, columns: slice) -> torch.Tensor:
            some = histories[rows]
            tile = np.zeros((some.shape[0], columns.stop - columns.start), np.float32)  # (block, tile)
            add_dense(some.indptr, some.indices, some.data, self.weights, columns.start, tile)
            return torch.from_numpy(tile)

        return score

    def weights_to(self, title: int, sources: npt.NDArray[np.integer[Any]]) -> FloatArray:
        """See `Linear.weights_to`."""
        column: FloatArray = self.weights[sources, title]
        return column

    def _arrays(self) -> Arrays:
        return {**super()._arrays(), "weights": self.weights}

    def _restore(self, arrays: Arrays) -> None:
        super()._restore(arrays)
        self.weights = arrays["weights"]


def _gram(histories: Histories, member_exponent: float) -> npt.NDArray[np.float64]:
    """XᵀX, `(titles, titles)`, with every member's row scaled by its length."""
    length = np.diff(histories.indptr)  # (members,)
    scaled = histories.astype(np.float64)
    scaled.data *= np.repeat(np.maximum(length, 1.0) ** -member_exponent, length)
    by_title = scaled.T.tocsr()  # (titles, members)
    gram = np.zeros((histories.shape[1],) * 2)

    def add(rows: slice) -> None:
        some = by_title[rows]
        add_sparse(some.indptr, some.indices, some.data, scaled.indptr, scaled.indices, scaled.data, 0, gram[rows])

    with Workers(CPU) as workers:
        workers.for_each(add, _blocks(len(gram)))
    return gram


def _inverse(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The inverse of a positive definite matrix by Cholesky, in its own memory; only the lower triangle holds it."""
    factor, failed = lapack.dpotrf(matrix, lower=1, clean=0, overwrite_a=1)
    if failed == 0:
        factor, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed != 0 or not np.isfinite(factor.diagonal()).all():
        raise ModelError("ease: the system has no solution; expected weights of a sane range and a greater regularisation")
    inverse: npt.NDArray[np.float64] = factor
    return inverse


def _weights_of_inverse(inverse: npt.NDArray[np.float64]) -> FloatArray:
    """B = -P / diag(P) by columns, from the lower triangle of P, some rows at a time."""
    titles = len(inverse)
    weights = np.empty((titles, titles), np.float32)
    for rows in _blocks(titles):
        left = inverse[rows, : rows.start]
        corner = np.tril(inverse[rows, rows])
        weights[rows, : rows.start], weights[: rows.start, rows] = left, left.T
        weights[rows, rows] = corner + np.tril(corner, -1).T
    weights /= -inverse.diagonal().astype(np.float32)
    np.fill_diagonal(weights, 0.0)
    return weights


def _blocks(titles: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, titles)) for start in range(0, titles, _ROWS)]
