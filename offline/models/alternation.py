"""One half-step of the iALS fit: the solver that suits, and over-relaxation. Called by the model and by its fit over Spark."""

from dataclasses import dataclass
from typing import Literal

import torch

from offline.models import block_solver, conjugate, least_squares
from offline.models.least_squares import Penalty, SparseRows
from offline.models.parallel import Workers
from shared.errors import InputError

Solver = Literal["auto", "exact", "conjugate", "blocks"]

FEW_FACTORS = 128  # up to as many, conjugate gradients cost least on a CPU


@dataclass(frozen=True)
class HalfStep:
    """How the factors of one side are brought nearer to their best, given those of the other.

    Attributes
    ----------
    solver : exact (each row's system as a whole), conjugate (a few steps, bfloat16, CPU only), blocks (iALS++), or auto.
    relaxation : what a step is multiplied by. Between 0 and 2 the objective still falls: along a line through its least
        point it is a parabola. Above 1 fewer passes are needed.
    bfloat16 : whether conjugate gradients read the fixed factors rounded to it.
    to_the_end : whether rows are to be solved, as far as float32 goes, and not just improved.
    """

    solver: Solver
    relaxation: float = 1.0
    bfloat16: bool = False
    to_the_end: bool = False

    def __call__(
        self,
        rows: SparseRows,
        fixed: torch.Tensor,
        current: torch.Tensor,
        penalty: Penalty,
        workers: Workers,
        gram: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return new factors, `(rows, factors)`; `current` are those before, for the rest see `least_squares.solve`."""
        solver = chosen(self.solver, fixed.shape[1], fixed.device)
        if solver == "conjugate":
            steps = conjugate.STEPS_TO_THE_END if self.to_the_end else conjugate.STEPS
            found = conjugate.improve(rows, fixed, current, penalty, workers, gram, bfloat16=self.bfloat16, steps=steps)
        elif solver == "blocks" and not self.to_the_end:
            found = block_solver.improve(rows, fixed, current, penalty, workers, gram)
        else:
            found = least_squares.solve(rows, fixed, penalty, workers, gram)
        return torch.lerp(current, found, self.relaxation)


def chosen(solver: Solver, factors: int, device: torch.device) -> Solver:
    """The solver that "auto" stands for.

    Raises
    ------
    InputError : conjugate gradients on a GPU.
    """
    if solver == "conjugate" and device.type != "cpu":
        raise InputError(f"ials: the solver 'conjugate' runs on the CPU and not on {device}; expected exact or blocks")
    if solver != "auto":
        return solver
    return "conjugate" if factors <= FEW_FACTORS and device.type == "cpu" else "blocks"
