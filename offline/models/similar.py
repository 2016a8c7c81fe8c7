"""Titles like a title: the nearest ones by the direction of their iALS vectors, doubtful ones held back.

A rarely played title's vector is mostly noise and can point anywhere, so its cosine counts less: it is multiplied by
n / (n + shrinkage) for n plays.
"""

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.models.topk import TopK, top_k
from shared.errors import InputError


def similar_titles(
    title_factors: npt.NDArray[np.float32],
    plays: npt.NDArray[np.float32],
    k: int,
    shrinkage: float = 5.0,
) -> TopK:
    """Rank the neighbours of every title.

    Parameters
    ----------
    title_factors : `(titles, factors)`, `IALS.title_factors`.
    plays : `(titles,)` plays of each title, in plays of average weight, `IALS.popularity`.
    k : neighbours a title.
    shrinkage : plays at which a neighbour's cosine counts half.

    Returns
    -------
    TopK : `(titles, k)`; scores lie in (0, 1], a title is never its own neighbour, and where fewer than k titles point
        the same way the rest is -1 and -inf, as everywhere.

    Raises
    ------
    InputError : the arrays do not fit together, or `shrinkage` is negative.
    """
    count = len(title_factors)
    if plays.shape != (count,):
        raise InputError(f"plays is {plays.shape} for {count} titles; expected one number a title")
    if not shrinkage >= 0:
        raise InputError(f"shrinkage is {shrinkage}; expected 0 or more")
    factors = torch.from_numpy(title_factors)
    length = torch.linalg.vector_norm(factors, dim=1, keepdim=True)
    direction = torch.where(length > 0, factors / length, 0.0)  # (titles, factors)
    played = torch.from_numpy(plays.astype(np.float32))
    trust = torch.where(played > 0, played / (played + shrinkage), 0.0)  # (titles,)

    def score(rows: slice, columns: slice) -> torch.Tensor:
        tile = (direction[rows] @ direction[columns].T).mul_(trust[columns])  # (block, tile)
        # A title that points away is no neighbour at all; it must not fill up a short list.
        return torch.where(tile > 0, tile.clamp_max(1.0), -torch.inf)

    itself = sparse.csr_array(sparse.eye_array(count, dtype=np.float32, format="csr"))
    return top_k(score, count, count, k, itself)
