"""One half of alternating least squares: the factors of all rows, given those of the columns. Exact, in torch.

For row u with entries i of weight w, titles' factors y and G = sum of y yᵀ over all columns, the solution of Rendle et
al. (2021, "Revisiting the performance of iALS on item recommendation benchmarks", eq. 5) is

    x = (α G + λ_u I + Σ w y yᵀ)⁻¹ Σ w y.

In the eigenbasis of G the first two terms are a diagonal D_u, and with the rows of U being √w y D_u^(-½) it becomes
x = D_u^(-½) (I + UᵀU)⁻¹ Uᵀ√w, or equally x = D_u^(-½) Uᵀ (I + U Uᵀ)⁻¹ √w. The second system is as large as the row is
long, so short rows, which are most, cost far less than factors³; and both are well conditioned, so that float32 is enough.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.models.parallel import Workers

Block = tuple[npt.NDArray[np.int64], int]
"""Row numbers of about one length, and the greatest of their lengths."""

BLOCK_FLOATS = 524_288  # gathered factors in one block: 2 MiB, so that they stay in the cache
PANEL = 16  # columns factorised at once by `_cholesky`
PADDING_SHARE = 0.15  # rows of one block may differ in length by this share


@dataclass(frozen=True)
class Penalty:
    """The terms that every row has: `unobserved` is α, and λ_u = scale · (Σw + α · columns) ^ exponent."""

    unobserved: float
    scale: float
    exponent: float


class SparseRows:
    """A CSR matrix laid out for `solve`: rows grouped by length, the arrays on the device."""

    def __init__(self, matrix: sparse.csr_array[np.float32], device: torch.device) -> None:
        self.rows, self.columns = matrix.shape
        self.lengths: npt.NDArray[np.int64] = np.diff(matrix.indptr).astype(np.int64)
        self.order: npt.NDArray[np.int64] = np.argsort(-self.lengths, kind="stable")
        self.start = torch.from_numpy(matrix.indptr[:-1].astype(np.int64)).to(device)
        self.length = torch.from_numpy(self.lengths).to(device)
        self.index = torch.from_numpy(matrix.indices.astype(np.int64)).to(device)
        self.weight = torch.from_numpy(matrix.data.astype(np.float32)).to(device)
        totals = np.asarray(matrix.sum(axis=1), np.float32)
        self.total = torch.from_numpy(totals).to(device)  # (rows,) Σw

    def blocks(self, factors: int) -> Iterator[Block]:
        """Yield all rows in blocks, the longest first; empty rows are left out."""
        lengths = self.lengths[self.order]
        position, filled = 0, int(np.count_nonzero(lengths))
        while position < filled:
            longest = int(lengths[position])
            shortest = longest * (1 - PADDING_SHARE)
            stop = int(np.searchsorted(-lengths, -shortest, side="right"))
            stop = min(stop, filled, position + max(1, BLOCK_FLOATS // (longest * factors)))
            yield self.order[position:stop], longest
            position = stop


def solve(rows: SparseRows, fixed: torch.Tensor, penalty: Penalty, workers: Workers) -> torch.Tensor:
    """Return the factors of all rows.

    Parameters
    ----------
    rows : weights of the entries, `(rows, columns)`.
    fixed : `(columns, factors)` float32, on the same device.

    Returns
    -------
    torch.Tensor : `(rows, factors)`; a row without entries is all zero, which is its exact solution.
    """
    factors = fixed.shape[1]
    gram = penalty.unobserved * (fixed.T @ fixed).double()  # (factors, factors)
    eigenvalues, basis = torch.linalg.eigh(gram)
    spread = eigenvalues.clamp_min(0.0).float()  # (factors,)
    rotation = basis.float()
    rotated = fixed @ rotation  # (columns, factors)
    strength = penalty.scale * (rows.total + penalty.unobserved * rows.columns) ** penalty.exponent  # (rows,) λ_u
    solution = torch.zeros(rows.rows, factors, device=fixed.device)

    def solve_block(block: Block) -> None:
        numbers, longest = block
        number = torch.from_numpy(numbers).to(fixed.device)
        scale = torch.rsqrt(spread + strength[number, None])  # (block, factors) D^(-½)
        index, root = _padded(rows, number, longest)  # (block, longest)
        entries = rotated.index_select(0, index.view(-1)).view(len(numbers), longest, factors)
        entries.mul_(root[:, :, None]).mul_(scale[:, None, :])  # U
        solution[number] = _solve_block(entries, root[:, :, None]).mul_(scale)

    workers.for_each(solve_block, rows.blocks(factors))
    original: torch.Tensor = solution @ rotation.T
    return original


def _padded(rows: SparseRows, number: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Column indices and √w of some rows, `(block, longest)`; padding has weight 0, so it adds nothing."""
    step = torch.arange(longest, device=number.device)
    inside = step < rows.length[number, None]  # (block, longest)
    entry = torch.where(inside, rows.start[number, None] + step, 0)
    return rows.index[entry], (rows.weight[entry] * inside).sqrt_()


def _solve_block(entries: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    """(I + UᵀU)⁻¹ Uᵀ√w by whichever system is smaller; U is `(block, longest, factors)`, √w `(block, longest, 1)`."""
    longest, factors = entries.shape[1:]
    flipped = entries.transpose(1, 2)
    if longest < factors:
        return (flipped @ _solve_shifted(entries @ flipped, root)).squeeze(2)
    return _solve_shifted(flipped @ entries, flipped @ root).squeeze(2)


def _solve_shifted(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(I + gram)⁻¹ right for each matrix of a batch, `(block, n, n)` and `(block, n, 1)`; gram is overwritten."""
    gram.diagonal(dim1=1, dim2=2).add_(1.0)
    return torch.cholesky_solve(right, _cholesky(gram))


def _cholesky(matrices: torch.Tensor) -> torch.Tensor:
    """Lower Cholesky factors of a batch, `(block, n, n)`.

    LAPACK takes one small matrix after the other, at a tenth of the processor's speed; going through all of them panel
    by panel leaves most of the work to batched products (measured: 95 -> 30 µs a matrix of 128, one core).
    """
    size = matrices.shape[1]
    if size <= 3 * PANEL or matrices.is_cuda:
        # The identity plus a positive part: the factorisation cannot fail but for values that overflow.
        whole: torch.Tensor = torch.linalg.cholesky_ex(matrices)[0]
        return whole
    lower = torch.zeros_like(matrices)
    for start in range(0, size, PANEL):
        stop = min(start + PANEL, size)
        panel = matrices[:, start:, start:stop]  # (block, size - start, PANEL)
        if start:
            panel = panel - lower[:, start:, :start] @ lower[:, start:stop, :start].transpose(1, 2)
        corner = torch.linalg.cholesky_ex(panel[:, : stop - start])[0]
        lower[:, start:stop, start:stop] = corner
        if stop < size:
            lower[:, stop:, start:stop] = torch.linalg.solve_triangular(
                corner.transpose(1, 2), panel[:, stop - start :], upper=True, left=False
            )
    return lower


def device_of(name: str) -> torch.device:
    """The device for a settings' value: "auto" is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor's values on the host."""
    array: npt.NDArray[Any] = tensor.cpu().numpy()
    return array
