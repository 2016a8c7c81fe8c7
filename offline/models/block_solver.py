"""One half of alternating least squares by blocks of factors (iALS++), for many factors: torch, on CPU and GPU.

Rendle, Krichene, Zhang, Koren (2021), "iALS++: Speeding up matrix factorization with subspace optimization", arXiv
2110.14044, algorithm 3. From where the factors of a row are, one block π of them after the other is moved to where the
objective is least along it:

    x_π ← x_π − (α G_ππ + λ I + Σ w y_π y_πᵀ)⁻¹ (α (G x)_π + λ x_π − Σ w (1 − x·y) y_π).

A row of n entries then costs n · factors · width and not n · factors². Rows of few entries are solved exactly, through the
system that is as large as they are long, which costs less than the blocks would.
"""

import torch

from offline.models.least_squares import Block, Penalty, Problem, SparseRows, parts, solve_rows, solve_shifted
from offline.models.parallel import Workers

WIDTH = 128  # factors of one block; the paper's recommendation


def improve(
    rows: SparseRows,
    fixed: torch.Tensor,
    current: torch.Tensor,
    penalty: Penalty,
    workers: Workers,
    gram: torch.Tensor | None = None,
    width: int = WIDTH,
) -> torch.Tensor:
    """Return factors of all rows whose objective is no greater than at `current`, `(rows, factors)`.

    Memory beside the arrays is that of `least_squares.solve`, and √w of one row's entries. `gram` is as there.
    """
    problem = Problem(rows, fixed, penalty, gram)
    factors = fixed.shape[1]
    start = current @ problem.rotation  # (rows, factors)
    solution = torch.zeros_like(start)

    def improve_block(block: Block) -> None:
        numbers, longest = block
        number = torch.from_numpy(numbers).to(fixed.device)
        if longest < 2 * width or factors <= width:
            solution[number] = solve_rows(problem, number, longest)
        else:
            solution[number] = _sweep(problem, number, longest, start[number], width)

    workers.for_each(improve_block, rows.blocks(factors))
    original: torch.Tensor = solution @ problem.rotation.T
    return original


def _sweep(problem: Problem, number: torch.Tensor, longest: int, current: torch.Tensor, width: int) -> torch.Tensor:
    """Move all blocks of factors once; `current` is `(rows, factors)` in the eigenbasis, and overwritten."""
    penalty = problem.spread + problem.strength[number, None]  # (rows, factors) D
    scale = torch.rsqrt(penalty)  # (rows, factors)
    blocks = [slice(start, min(start + width, len(problem.spread))) for start in range(0, len(problem.spread), width)]
    places = parts(longest, len(number) * width)
    # √w (1 − x·y) of each entry; where a row has no entry √w is 0, and so is all that follows from it.
    missing = torch.cat([problem.padded(number, part)[1] for part in places], dim=1)[:, :, None]  # (rows, longest, 1)
    for block in blocks:
        _move(problem, number, places, block, missing, -current[:, block, None])
    for block in blocks:
        inner = block.stop - block.start
        gram = torch.zeros(len(number), inner, inner, device=scale.device)
        right = -(penalty[:, block] * current[:, block])[:, :, None]  # (rows, inner, 1) the negative gradient
        for part in places:
            index, root = problem.padded(number, part)
            entries = problem.weighted(index, root, block)  # (rows, part, inner) √w y
            right.baddbmm_(entries.transpose(1, 2), missing[:, part])
            entries.mul_(scale[:, None, block])  # U
            gram.baddbmm_(entries.transpose(1, 2), entries)
        step = solve_shifted(gram, right.mul_(scale[:, block, None])).mul_(scale[:, block, None])  # (rows, inner, 1)
        current[:, block] += step.squeeze(2)
        _move(problem, number, places, block, missing, -step)
    return current


def _move(
    problem: Problem, number: torch.Tensor, places: list[slice], block: slice, missing: torch.Tensor, step: torch.Tensor
) -> None:
    """Add √w y_π·step to what is missing of each entry, in place."""
    for part in places:
        missing[:, part].baddbmm_(problem.weighted(*problem.padded(number, part), block), step)
