"""The solvers of one half-step against the definition, and against each other."""

import numpy as np
import pytest
import torch

from offline.interactions import Interactions
from offline.models import IALS, IALSSettings, block_solver, conjugate, least_squares
from offline.models.alternation import HalfStep, chosen
from offline.models.least_squares import Penalty, SparseRows
from offline.models.parallel import Workers
from shared.errors import InputError, ModelError
from tests.builders import interactions_of, random_interactions
from tests.offline.models.test_ials import objective, slow_solution

CPU = torch.device("cpu")
PENALTY = Penalty(unobserved=0.2, scale=0.05, exponent=0.5)


class HalfWorld:
    """Rows of 0 to 60 entries, factors of their columns, the exact solution, and the objective of any other."""

    def __init__(self, factors: int) -> None:
        random = np.random.default_rng(5)
        self.dense = random_interactions(50, 80, share=0.3, seed=3).matrix.toarray()
        self.dense[7] = 0
        self.rows = SparseRows(interactions_of(self.dense).matrix, CPU)
        self.fixed = random.standard_normal((80, factors)).astype(np.float32)
        self.current = torch.from_numpy(random.standard_normal((50, factors)).astype(np.float32))
        self.solution = slow_solution(self.dense, self.fixed.astype(np.float64), PENALTY)

    def objective(self, found: torch.Tensor) -> np.ndarray:
        """What each row has of the objective, `(rows,)`."""
        product = found.numpy().astype(np.float64) @ self.fixed.T
        strength = PENALTY.scale * (self.dense.sum(axis=1) + PENALTY.unobserved * 80) ** PENALTY.exponent
        errors = (self.dense * (product - 1) ** 2 + PENALTY.unobserved * product**2).sum(axis=1)
        return errors + strength * (found.numpy().astype(np.float64) ** 2).sum(axis=1)


@pytest.mark.parametrize("factors", [3, 20, 64])
def test_conjugate_gradients_end_at_the_solution(factors: int) -> None:
    world = HalfWorld(factors)
    with Workers(CPU) as workers:
        step = HalfStep("conjugate", to_the_end=True)
        found = step(world.rows, torch.from_numpy(world.fixed), world.current, PENALTY, workers)
    np.testing.assert_allclose(found.numpy(), world.solution, rtol=2e-4, atol=2e-4)
    assert not found[7].any()


@pytest.mark.parametrize("width", [5, 16, 64])
def test_sweeps_over_blocks_lower_the_objective_down_to_the_solution(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_squares, "BLOCK_FLOATS", 640)  # rows are taken in several parts
    world = HalfWorld(20)
    fixed = torch.from_numpy(world.fixed)
    found, before = world.current, world.objective(world.current)
    with Workers(CPU) as workers:
        for _ in range(20):
            found = block_solver.improve(world.rows, fixed, found, PENALTY, workers, width=width)
            after = world.objective(found)
            assert (after <= before * (1 + 1e-5)).all()
            before = after
    np.testing.assert_allclose(found.numpy(), world.solution, rtol=2e-3, atol=2e-3)


def test_one_sweep_is_not_yet_the_solution_of_long_rows() -> None:
    world = HalfWorld(20)
    with Workers(CPU) as workers:
        found = block_solver.improve(world.rows, torch.from_numpy(world.fixed), world.current, PENALTY, workers, width=5)
    exact = np.isclose(found.numpy(), world.solution, atol=1e-4).all(axis=1)
    lengths = (world.dense > 0).sum(axis=1)
    assert exact[lengths < 10].all()
    assert not exact[lengths >= 10].any()


def test_rows_taken_in_parts_have_the_same_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_squares, "BLOCK_FLOATS", 64)
    world = HalfWorld(8)
    with Workers(CPU) as workers:
        found = least_squares.solve(world.rows, torch.from_numpy(world.fixed), PENALTY, workers)
    np.testing.assert_allclose(found.numpy(), world.solution, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("relaxation", [0.5, 1.4, 1.9])
def test_a_relaxed_step_lowers_the_objective_too(relaxation: float) -> None:
    world = HalfWorld(20)
    with Workers(CPU) as workers:
        for solver in ("exact", "conjugate", "blocks"):
            step = HalfStep(solver, relaxation, bfloat16=True)
            found = step(world.rows, torch.from_numpy(world.fixed), world.current, PENALTY, workers)
            assert (world.objective(found) < world.objective(world.current)).all()


def test_all_solvers_come_to_about_the_same_model() -> None:
    world = random_interactions(120, 60)
    weights = world.matrix.toarray().astype(np.float64)
    losses = {}
    for solver in ("exact", "conjugate", "blocks"):
        model = IALS(IALSSettings(factors=12, solver=solver)).fit(world)
        losses[solver] = objective(weights / model.weight_scale, model)
    assert losses["blocks"] == pytest.approx(losses["exact"], rel=1e-6)  # so few factors are one block
    assert losses["conjugate"] == pytest.approx(losses["exact"], rel=0.01)


def test_over_relaxation_needs_fewer_passes() -> None:
    world = random_interactions(120, 60)
    weights = world.matrix.toarray().astype(np.float64)
    losses = []
    for relaxation in (1.0, 1.4):
        model = IALS(IALSSettings(factors=12, iterations=6, solver="exact", relaxation=relaxation)).fit(world)
        losses.append(objective(weights / model.weight_scale, model))
    assert losses[1] < losses[0]


def test_more_factors_than_data() -> None:
    world = interactions_of(np.array([[1, 1, 0], [0, 1, 1]]))
    for solver in ("exact", "conjugate", "blocks"):
        model = IALS(IALSSettings(factors=300, solver=solver)).fit(world)
        np.testing.assert_allclose(model.fold_in(world.matrix), model.member_factors, rtol=1e-3, atol=1e-4)
        assert model.recommend(np.array([0, 1]), 1, exclude=world.matrix).titles.tolist() == [[2], [0]]


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_weights_that_cannot_be_are_refused(weight: float) -> None:
    world = random_interactions()
    world.matrix.data[5] = weight
    with pytest.raises(InputError, match=r"ials: a weight is .*; expected a number of 0 or more"):
        IALS(IALSSettings(factors=4)).fit(Interactions(world.member_ids, world.title_ids, world.matrix))


@pytest.mark.parametrize("solver", ["exact", "conjugate", "blocks"])
def test_factors_that_overflow_are_refused(solver: str) -> None:
    with pytest.raises(ModelError, match="the factors are not finite"):
        IALS(IALSSettings(factors=4, solver=solver, initial_spread=1e30)).fit(random_interactions())


def test_the_solver_follows_factors_and_device() -> None:
    assert chosen("auto", 64, CPU) == "conjugate"
    assert chosen("auto", 512, CPU) == chosen("auto", 64, torch.device("cuda")) == "blocks"
    with pytest.raises(InputError, match="'conjugate' runs on the CPU"):
        chosen("conjugate", 64, torch.device("cuda"))


def test_spans_cover_every_row_once() -> None:
    starts = np.array([0, 0, 300_000, 300_001, 300_001, 900_000, 900_000])
    spans = conjugate._spans(starts)
    assert [row for first, last in spans for row in range(first, last)] == list(range(6))
    assert conjugate._spans(np.array([0, 0])) == [(0, 1)]
    assert conjugate._spans(np.array([0])) == []
