"""The greatest eigenvalues of AᵀA for a sparse A, with their eigenvectors: the smoothest signals of a graph of titles."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.models.parallel import Workers

FloatArray = npt.NDArray[np.float32]

BLOCK = 64
SUBSPACE = 3
"""The subspace that is searched has so many times the dimensions asked for, and `STEPS` blocks at least."""
STEPS = 8


def leading(matrix: sparse.csr_array[np.float32], rank: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Find the leading eigenpairs of AᵀA by a block Krylov method with full reorthogonalisation.

    Golub and Underwood (1977), "The block Lanczos method for computing eigenvalues"; Musco and Musco (2015), "Randomized block
    Krylov methods for stronger and faster approximate singular value decomposition". Where one side of A is no longer than the
    subspace, the answer is exact. Peak memory is about 4 bytes x columns x rank x 4.

    Parameters
    ----------
    matrix : A, `(rows, columns)` CSR.
    rank : pairs wanted; fewer are found where A has fewer.
    seed : of the first directions.

    Returns
    -------
    `(n,)` float32 eigenvalues above 0, the greatest first, and `(columns, n)` float32 orthonormal eigenvectors.
    """
    dimensions = max(STEPS, -(-SUBSPACE * rank // BLOCK)) * BLOCK
    if min(matrix.shape) <= dimensions:
        values, vectors = _exact(matrix)
    else:
        values, vectors = _krylov(matrix, dimensions, seed)
    order = torch.argsort(values, descending=True)[:rank]
    order = order[values[order] > 1e-6 * values.max().clamp_min(1e-30)]
    return values[order].float().numpy(), np.ascontiguousarray(vectors[:, order].float().numpy())


def _exact(matrix: sparse.csr_array[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    """All eigenpairs, from the smaller of AAᵀ and AᵀA in float64."""
    wide = matrix.shape[0] < matrix.shape[1]
    short = (matrix if wide else matrix.T).tocsr().astype(np.float64)
    values, vectors = torch.linalg.eigh(torch.from_numpy((short @ short.T).toarray()))  # (n,), (n, n)
    if wide:
        vectors = torch.from_numpy(short.T @ vectors.numpy()) / values.clamp_min(1e-30).sqrt()  # (columns, n)
    return values, vectors


def _krylov(matrix: sparse.csr_array[np.float32], dimensions: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rayleigh-Ritz pairs of AᵀA over the span of V, AᵀAV, (AᵀA)²V, … for random V."""
    transposed = matrix.T.tocsr()
    random = torch.randn((matrix.shape[1], BLOCK), generator=torch.Generator().manual_seed(seed))
    basis = torch.empty((dimensions, matrix.shape[1])).T  # (columns, dimensions), column by column in memory
    projected = torch.zeros((dimensions, dimensions), dtype=torch.float64)
    found, _ = torch.linalg.qr(random)  # (columns, block)
    for start in range(0, dimensions, BLOCK):
        here, known = slice(start, start + BLOCK), basis[:, : start + BLOCK]
        basis[:, here] = found
        image = _times(transposed, _times(matrix, found))  # (columns, block)
        projected[: start + BLOCK, here] = (known.T @ image).double()
        found = _directions(image, known)
    projected = projected.triu() + projected.triu(1).T  # AᵀA is symmetric; only what lies above was worked out
    values, rotation = torch.linalg.eigh(projected)
    kept = rotation.flip(1)[:, : dimensions // SUBSPACE + 1].float()  # (dimensions, kept)
    return values.flip(0)[: kept.shape[1]], basis @ kept


def _directions(image: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Orthonormal columns that span what is new in `image`.

    Once is not enough where little is new; and where nothing is, as for a matrix of low rank, QR fills up with directions of
    its own, which have to be made orthogonal to the known ones in their turn.
    """
    for _ in range(3):
        image, _ = torch.linalg.qr(image - known @ (known.T @ image))  # (columns, block)
    return image


def _times(matrix: sparse.csr_array[np.float32], right: torch.Tensor) -> torch.Tensor:
    """A sparse matrix times a tall one, `(rows, n)`, a slice of rows a thread."""
    product = np.empty((matrix.shape[0], right.shape[1]), np.float32)
    columns: npt.NDArray[Any] = np.ascontiguousarray(right.numpy())

    def multiply(start: int) -> None:
        rows = slice(start, start + 4096)
        product[rows] = matrix[rows] @ columns

    with Workers(torch.device("cpu")) as workers:
        workers.for_each(multiply, range(0, len(product), 4096))
    return torch.from_numpy(product)
