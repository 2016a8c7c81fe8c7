"""Vectors for titles that nobody has played, from what is known of them: the prior of a title is the mean of those like it.

A ridge regression from features (genres) to the factors of the titles that were played, each trusted by its plays; so a new
title's vector is a mean of its features' vectors, shrunk to that of the catalogue where a feature is rare. (Gantner et al.
2010, "Learning attribute-to-feature mappings for cold-start recommendations", with a linear map.)
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from offline.models.mixing import FloatArray
from shared.errors import InputError

SHRINKAGE = 5.0
"""Plays at which a title's vector counts half, as for similar titles."""
RIDGE = 3.0
"""Fully trusted titles that the pull of a feature's vector to 0 is worth."""


def one_hot(features: Sequence[Sequence[str]]) -> sparse.csr_array[np.float32]:
    """Each title's features as a row, `(titles, features)`, summing to 1; all zero for a title without any."""
    names = {name: column for column, name in enumerate(sorted({name for some in features for name in some}))}
    rows = [sorted({names[name] for name in some}) for some in features]
    lengths = np.array([len(row) for row in rows], np.int64)
    columns = np.array([column for row in rows for column in row], np.int32)
    values = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sparse.csr_array((values, columns, indptr), shape=(len(rows), len(names)))


class ContentPrior:
    """What the features of the played titles say about vectors.

    Parameters
    ----------
    title_factors : `(titles, factors)` float32.
    plays : `(titles,)`; titles without plays teach nothing.
    features : `(titles, features)` CSR.

    Attributes
    ----------
    mean : `(factors,)` the mean vector of the played titles.
    """

    def __init__(self, title_factors: FloatArray, plays: npt.NDArray[np.float32], features: sparse.csr_array[np.float32]) -> None:
        if not len(title_factors) == len(plays) == features.shape[0]:
            found = f"{len(title_factors)} vectors, {len(plays)} plays and {features.shape[0]} rows of features"
            raise InputError(f"content prior: {found}; expected one of each a title")
        trust = plays.astype(np.float64) / (plays + SHRINKAGE)  # (titles,)
        self.mean: FloatArray = (trust @ title_factors / max(float(trust.sum()), 1e-9)).astype(np.float32)
        weighted = features.multiply(trust[:, None]).tocsr()  # (titles, features)
        gram = (weighted.T @ features).toarray() + RIDGE * np.eye(features.shape[1])
        self._vectors = np.linalg.solve(gram, weighted.T @ (title_factors - self.mean)).astype(np.float32)  # (features, factors)

    def vectors(self, features: sparse.csr_array[np.float32]) -> FloatArray:
        """The vectors of titles by their features, `(n, factors)`; the mean for a title without any."""
        vectors: FloatArray = features @ self._vectors + self.mean
        return vectors
