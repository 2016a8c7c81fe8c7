"""One half of alternating least squares by conjugate gradients from where the factors are: for few factors, on CPU.

Takács, Pilászy, Tikk (2011), "Applications of the conjugate gradient method for implicit feedback collaborative
filtering": a few steps a pass lower the objective almost as far as exact solutions do, at a fraction of the arithmetic.
Here they run in the eigenbasis of G, with the diagonal as preconditioner; and the fixed factors may be read as bfloat16,
which halves the memory traffic that such a pass waits for. Sums are float32. Compiled by numba, a thread a span of rows.
"""

import itertools
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from numba.extending import overload

from offline.models.least_squares import Penalty, Problem, SparseRows, to_numpy
from offline.models.parallel import Workers

LANES = 16  # float32 of one vector register; factors are padded to a multiple, so that loops have no remainder
SPAN_ENTRIES = 131_072  # of the rows that a thread takes at once
STEPS = 2
STEPS_TO_THE_END = 24
SOLVED = 1e-10  # share of the squared residual, so preconditioned, at which a row counts as solved


def improve(
    rows: SparseRows,
    fixed: torch.Tensor,
    current: torch.Tensor,
    penalty: Penalty,
    workers: Workers,
    gram: torch.Tensor | None = None,
    *,
    bfloat16: bool = True,
    steps: int = STEPS,
) -> torch.Tensor:
    """Return factors of all rows whose objective is lower than at `current`, `(rows, factors)`; see `least_squares.solve`.

    Memory beside the arrays: the rotated factors of both sides, and six vectors a thread.
    """
    problem = Problem(rows, fixed, penalty, gram)
    factors = fixed.shape[1]
    padded = -(-factors // LANES) * LANES
    table = torch.zeros(len(fixed), padded, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    table[:, :factors] = problem.fixed
    solution = np.zeros((rows.rows, padded), np.float32)
    solution[:, :factors] = to_numpy(current @ problem.rotation)
    spread = np.zeros(padded, np.float32)
    spread[:factors] = to_numpy(problem.spread)
    square = to_numpy(table.float().square().mean(dim=0))  # (padded,) of an average entry
    read = table.view(torch.int16).numpy().view(np.uint16) if bfloat16 else table.numpy()  # (columns, padded)
    index, weight, strength, total = (to_numpy(each) for each in (rows.index, rows.weight, problem.strength, rows.total))

    def improve_span(span: tuple[int, int]) -> None:
        _improve_rows(*span, rows.starts, index, weight, read, spread, strength, total, square, steps, solution)

    workers.for_each(improve_span, _spans(rows.starts))
    original: torch.Tensor = torch.from_numpy(solution[:, :factors]) @ problem.rotation.T
    return original


def _spans(starts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Rows from and to, of about `SPAN_ENTRIES` entries each."""
    cuts = np.searchsorted(starts, np.arange(SPAN_ENTRIES, starts[-1], SPAN_ENTRIES))
    edges = np.unique(np.concatenate([[0], cuts, [len(starts) - 1]])).tolist()
    return list(itertools.pairwise(edges))


_compiled: Any = numba.njit(nogil=True, fastmath=True, cache=True, error_model="numpy")


def _read(table: Any, row: Any, factor: Any) -> Any:
    """A factor as float32, from a table of float32 or of bfloat16, whose bits are the upper half of a float32's."""
    raise NotImplementedError("exists only compiled")


@overload(_read, inline="always")
def _compile_read(table, row, factor):  # type: ignore[no-untyped-def]
    if table.dtype == numba.types.uint16:
        return lambda table, row, factor: np.uint32(np.uint32(table[row, factor]) << np.uint32(16)).view(np.float32)
    return lambda table, row, factor: table[row, factor]


@_compiled
def _accumulate(start, stop, index, weight, table, vector, target, result):  # type: ignore[no-untyped-def]  # compiled
    """result += Σ w (target − y·vector) y over the entries from `start` to `stop`, four at a time to hide latency."""
    factors = len(vector)
    entry = start
    while entry + 4 <= stop:
        row0, row1, row2, row3 = index[entry], index[entry + 1], index[entry + 2], index[entry + 3]
        sum0 = sum1 = sum2 = sum3 = np.float32(0)
        for k in range(factors):
            sum0 += _read(table, row0, k) * vector[k]
            sum1 += _read(table, row1, k) * vector[k]
            sum2 += _read(table, row2, k) * vector[k]
            sum3 += _read(table, row3, k) * vector[k]
        sum0 = weight[entry] * (target - sum0)
        sum1 = weight[entry + 1] * (target - sum1)
        sum2 = weight[entry + 2] * (target - sum2)
        sum3 = weight[entry + 3] * (target - sum3)
        for k in range(factors):
            result[k] += (
                sum0 * _read(table, row0, k)
                + sum1 * _read(table, row1, k)
                + sum2 * _read(table, row2, k)
                + sum3 * _read(table, row3, k)
            )
        entry += 4
    while entry < stop:
        row0 = index[entry]
        sum0 = np.float32(0)
        for k in range(factors):
            sum0 += _read(table, row0, k) * vector[k]
        sum0 = weight[entry] * (target - sum0)
        for k in range(factors):
            result[k] += sum0 * _read(table, row0, k)
        entry += 1


@_compiled
def _improve_rows(  # type: ignore[no-untyped-def]  # compiled
    first, last, starts, index, weight, table, spread, strength, total, square, steps, solution
):
    """Preconditioned conjugate gradients for the rows from `first` to `last`, in place in `solution`."""
    factors = len(spread)
    diagonal, inverse, residual = np.empty(factors, np.float32), np.empty(factors, np.float32), np.empty(factors, np.float32)
    direction, image = np.empty(factors, np.float32), np.empty(factors, np.float32)
    zero, one = np.float32(0), np.float32(1)
    for row in range(first, last):
        start, stop = starts[row], starts[row + 1]
        x = solution[row]
        if start == stop:
            x[:] = zero
            continue
        for k in range(factors):
            diagonal[k] = spread[k] + strength[row]
            inverse[k] = one / (diagonal[k] + total[row] * square[k])
            residual[k] = -diagonal[k] * x[k]
        _accumulate(start, stop, index, weight, table, x, one, residual)
        size = zero
        for k in range(factors):
            direction[k] = inverse[k] * residual[k]
            size += direction[k] * residual[k]
        enough = max(np.float32(SOLVED) * size, np.float32(1e-30))  # below it another step would divide by nothing
        for _ in range(steps):
            if size <= enough:
                break
            for k in range(factors):
                image[k] = -diagonal[k] * direction[k]
            _accumulate(start, stop, index, weight, table, direction, zero, image)  # minus the system times direction
            curvature = zero
            for k in range(factors):
                curvature -= direction[k] * image[k]
            length = size / curvature
            smaller = zero
            for k in range(factors):
                x[k] += length * direction[k]
                residual[k] += length * image[k]
                smaller += residual[k] * residual[k] * inverse[k]
            for k in range(factors):
                direction[k] = inverse[k] * residual[k] + smaller / size * direction[k]
            size = smaller
