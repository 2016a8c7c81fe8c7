"""iALS against its definition, written out slowly in float64."""

import numpy as np
import pytest
import torch

from offline.models import IALS, IALSSettings
from offline.models.least_squares import PANEL, Penalty, SparseRows, _cholesky, solve
from offline.models.parallel import Workers
from shared.errors import InputError
from tests.builders import interactions_of, random_interactions


def slow_solution(weights: np.ndarray, fixed: np.ndarray, penalty: Penalty) -> np.ndarray:
    """Equation 5 of Rendle et al. (2021), one row after the other."""
    gram = penalty.unobserved * fixed.T @ fixed
    rows = []
    for row in weights.astype(np.float64):
        strength = penalty.scale * (row.sum() + penalty.unobserved * len(fixed)) ** penalty.exponent
        system = gram + strength * np.eye(fixed.shape[1]) + fixed.T @ (row[:, None] * fixed)
        rows.append(np.linalg.solve(system, fixed.T @ row))
    return np.array(rows)


def objective(weights: np.ndarray, model: IALS) -> float:
    """Equation 3 of the same paper."""
    members, titles, settings = model.member_factors, model.title_factors, model.settings
    product = members.astype(np.float64) @ titles.T.astype(np.float64)
    alpha, power = model.unobserved_weight, settings.regularisation_exponent
    of_members = (weights.sum(axis=1) + alpha * weights.shape[1]) ** power
    of_titles = (weights.sum(axis=0) + alpha * weights.shape[0]) ** power
    loss = (weights * (product - 1) ** 2).sum() + alpha * (product**2).sum()
    loss += settings.regularisation * (of_members * (members.astype(np.float64) ** 2).sum(axis=1)).sum()
    loss += settings.regularisation * (of_titles * (titles.astype(np.float64) ** 2).sum(axis=1)).sum()
    return float(loss)


@pytest.mark.parametrize("factors", [3, 20, 64])  # fewer, as many and more than the rows are long
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_solve_equals_the_definition(factors: int, exponent: float) -> None:
    random = np.random.default_rng(5)
    dense = random_interactions(50, 80, share=0.3, seed=3).matrix.toarray()
    dense[7] = 0  # a row without entries
    weights = interactions_of(dense).matrix
    fixed = random.standard_normal((80, factors))
    penalty = Penalty(unobserved=0.2, scale=0.05, exponent=exponent)
    device = torch.device("cpu")
    with Workers(device) as workers:
        found = solve(SparseRows(weights, device), torch.from_numpy(fixed.astype(np.float32)), penalty, workers)
    np.testing.assert_allclose(found.numpy(), slow_solution(dense, fixed, penalty), rtol=2e-4, atol=2e-5)
    assert not found[7].any()


@pytest.mark.parametrize("size", [1, PANEL, 3 * PANEL, 3 * PANEL + 1, 5 * PANEL, 100])
def test_panelwise_cholesky_equals_the_whole(size: int) -> None:
    random = torch.Generator().manual_seed(0)
    half = torch.randn(3, size, size, generator=random)
    matrices = half @ half.transpose(1, 2) / size + torch.eye(size)
    expected = torch.linalg.cholesky(matrices.double())
    torch.testing.assert_close(_cholesky(matrices.clone()).double(), expected, rtol=1e-4, atol=1e-5)


def test_every_iteration_lowers_the_objective() -> None:
    world = random_interactions(80, 40)
    weights = world.matrix.toarray().astype(np.float64)
    losses = []
    for iterations in (1, 2, 3, 5, 8, 13):
        model = IALS(IALSSettings(factors=6, iterations=iterations)).fit(world)
        losses.append(objective(weights / model.weight_scale, model))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_fold_in_gives_the_vectors_of_the_fit() -> None:
    world = random_interactions()
    model = IALS(IALSSettings(factors=16)).fit(world)
    np.testing.assert_allclose(model.fold_in(world.matrix), model.member_factors, rtol=1e-4, atol=1e-5)


def test_scale_of_the_weights_does_not_matter() -> None:
    world = random_interactions()
    dense = world.matrix.toarray()
    one = IALS(IALSSettings(factors=8, bfloat16=False)).fit(interactions_of(dense))
    other = IALS(IALSSettings(factors=8, bfloat16=False)).fit(interactions_of(dense * 50))
    np.testing.assert_allclose(one.title_factors, other.title_factors, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "setting", ["factors", "iterations", "unobserved_pull", "regularisation", "initial_spread", "relaxation"]
)
def test_settings_that_cannot_be_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=f"{setting} is 0"):
        IALSSettings(**{setting: 0})


def test_number_of_threads_does_not_change_the_outcome() -> None:
    world = random_interactions(300, 100)
    threads = torch.get_num_threads()
    factors = []
    for count in (1, 3):
        torch.set_num_threads(count)
        try:
            factors.append(IALS(IALSSettings(factors=12)).fit(world).title_factors)
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
    np.testing.assert_array_equal(factors[0], factors[1])
