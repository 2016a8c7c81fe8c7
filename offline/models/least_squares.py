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
from shared.errors import ModelError

Block = tuple[npt.NDArray[np.int64], int]
"""Row numbers of about one length, and the greatest of their lengths."""

BLOCK_FLOATS = 524_288  # gathered factors in one block: 2 MiB, so that they stay in the cache
PANEL = 16  # columns factorised at once by `_cholesky`
NOT_FINITE = "ials: the factors are not finite; expected weights of a sane range and a greater regularisation"
PADDING_SHARE = 0.15  # rows of one block may differ in length by this share


@dataclass(frozen=True)
class Penalty:
    """The terms that every row has: `unobserved` is α, and λ_u = scale · (Σw + α · columns) ^ exponent."""

    unobserved: float
    scale: float
    exponent: float


class SparseRows:
    """A CSR matrix laid out for the solvers: rows grouped by length, the arrays on the device.

    Parameters
    ----------
    columns : how many columns λ counts, where the matrix holds only those that occur in it.
    """

    def __init__(self, matrix: sparse.csr_array[np.float32], device: torch.device, columns: int | None = None) -> None:
        self.rows = matrix.shape[0]
        self.columns = matrix.shape[1] if columns is None else columns
        self.starts: npt.NDArray[np.int64] = matrix.indptr.astype(np.int64)
        self.lengths: npt.NDArray[np.int64] = np.diff(self.starts)
        self.order: npt.NDArray[np.int64] = np.argsort(-self.lengths, kind="stable")
        self.start = torch.from_numpy(self.starts[:-1]).to(device)
        self.length = torch.from_numpy(self.lengths).to(device)
        self.index = torch.from_numpy(matrix.indices.astype(np.int32)).to(device)
        self.weight = torch.from_numpy(matrix.data.astype(np.float32)).to(device)
        totals = np.asarray(matrix.sum(axis=1), np.float32)
        self.total = torch.from_numpy(totals).to(device)  # (rows,) Σw

    def blocks(self, width: int) -> Iterator[Block]:
        """Yield all rows in blocks, the longest first, for `width` numbers an entry; empty rows are left out."""
        lengths = self.lengths[self.order]
        position, filled = 0, int(np.count_nonzero(lengths))
        while position < filled:
            longest = int(lengths[position])
            shortest = longest * (1 - PADDING_SHARE)
            stop = int(np.searchsorted(-lengths, -shortest, side="right"))
            stop = min(stop, filled, position + max(1, BLOCK_FLOATS // (longest * width)))
            yield self.order[position:stop], longest
            position = stop


class Problem:
    """One half-step in the eigenbasis of α G: what all rows share.

    Attributes
    ----------
    rotation : `(factors, factors)`, the basis.
    fixed : `(columns, factors)`, rotated.
    spread : `(factors,)`, the eigenvalues of α G.
    strength : `(rows,)`, λ_u.

    Parameters
    ----------
    fixed : `(columns, factors)` float32.
    gram : G, `(factors, factors)`, where `fixed` has not all columns.
    """

    def __init__(self, rows: SparseRows, fixed: torch.Tensor, penalty: Penalty, gram: torch.Tensor | None = None) -> None:
        gram = gram_of(fixed) if gram is None else gram.to(fixed.device)
        if not torch.isfinite(gram).all():
            raise ModelError(NOT_FINITE)
        eigenvalues, basis = torch.linalg.eigh(penalty.unobserved * gram)
        self.rows = rows
        self.spread = eigenvalues.clamp_min(0.0).float()  # (factors,)
        self.rotation = basis.float()  # (factors, factors)
        self.fixed = fixed @ self.rotation  # (columns, factors)
        self.strength = penalty.scale * (rows.total + penalty.unobserved * rows.columns) ** penalty.exponent  # (rows,)

    def padded(self, number: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Column indices and √w of some rows' entries in places `part`, `(block, part)`; padding has weight 0."""
        rows = self.rows
        step = torch.arange(part.start, part.stop, device=number.device)
        inside = step < rows.length[number, None]  # (block, part)
        entry = torch.where(inside, rows.start[number, None] + step, 0)
        return rows.index[entry], (rows.weight[entry] * inside).sqrt_()

    def weighted(self, index: torch.Tensor, root: torch.Tensor, columns: slice) -> torch.Tensor:
        """√w y of entries, some columns of y: `(block, entries, columns)`."""
        block, entries = index.shape
        gathered = self.fixed[:, columns].index_select(0, index.reshape(-1)).view(block, entries, -1)
        weighted: torch.Tensor = gathered.mul_(root[:, :, None])
        return weighted


def gram_of(factors: torch.Tensor) -> torch.Tensor:
    """Σ y yᵀ over all rows, `(factors, factors)` float64."""
    gram: torch.Tensor = (factors.T @ factors).double()
    return gram


def solve(
    rows: SparseRows, fixed: torch.Tensor, penalty: Penalty, workers: Workers, gram: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the factors of all rows; see `Problem` for `fixed` and `gram`.

    Memory beside the arrays: 2 MiB a thread, and for a row of n > factors entries no more, as it is taken in parts; the
    system of one row is factors² or, for short rows, n².

    Returns
    -------
    torch.Tensor : `(rows, factors)`; a row without entries is all zero, which is its exact solution.

    Raises
    ------
    ModelError : the factors are not finite.
    """
    problem = Problem(rows, fixed, penalty, gram)
    solution = torch.zeros(rows.rows, fixed.shape[1], device=fixed.device)

    def solve_block(block: Block) -> None:
        number = torch.from_numpy(block[0]).to(fixed.device)
        solution[number] = solve_rows(problem, number, block[1])

    workers.for_each(solve_block, rows.blocks(fixed.shape[1]))
    original: torch.Tensor = solution @ problem.rotation.T
    return original


def solve_rows(problem: Problem, number: torch.Tensor, longest: int) -> torch.Tensor:
    """The solutions of some rows of up to `longest` entries, `(block, factors)`, by whichever system is smaller."""
    factors = len(problem.spread)
    scale = torch.rsqrt(problem.spread + problem.strength[number, None])[:, None, :]  # (block, 1, factors) D^(-½)
    everything = slice(0, factors)
    if longest < factors:
        index, root = problem.padded(number, slice(0, longest))
        entries = problem.weighted(index, root, everything).mul_(scale)  # (block, longest, factors) U
        flipped = entries.transpose(1, 2)
        solved = (flipped @ solve_shifted(entries @ flipped, root[:, :, None])).squeeze(2)
        return solved.mul_(scale[:, 0])
    gram = torch.zeros(len(number), factors, factors, device=scale.device)
    right = torch.zeros(len(number), factors, 1, device=scale.device)
    for part in parts(longest, len(number) * factors):
        index, root = problem.padded(number, part)
        entries = problem.weighted(index, root, everything).mul_(scale)  # (block, part, factors) U
        flipped = entries.transpose(1, 2)
        gram.baddbmm_(flipped, entries)
        right.baddbmm_(flipped, root[:, :, None])
    return solve_shifted(gram, right).squeeze(2).mul_(scale[:, 0])


def parts(longest: int, width: int) -> list[slice]:
    """Cut places 0 to `longest`, of `width` numbers each, into parts of no more than a block holds."""
    step = max(1, BLOCK_FLOATS // width)
    return [slice(start, min(start + step, longest)) for start in range(0, longest, step)]


def solve_shifted(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
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
