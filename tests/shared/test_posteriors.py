"""The chance that an arm's draw is the greatest: against quadrature on a fine grid, and against draws."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from shared.errors import InputError
from shared.pages.posteriors import Posteriors

Vector = npt.NDArray[np.float64]


def slow_chances(x: Vector, log_cdf: npt.NDArray[np.float64], density: npt.NDArray[np.float64]) -> Vector:
    """The integral of each arm's density times the others' distribution functions; all of (arms, points) on the points `x`."""
    log_cdf = np.maximum(log_cdf, -600.0)
    total = log_cdf.sum(axis=0)
    found: Vector = np.trapezoid(density * np.exp(total - log_cdf), x, axis=1)
    return found


def slow_beta(a: Vector, b: Vector) -> Vector:
    y = np.linspace(-18.0, 6.0, 2001)  # in the logit of the rate
    x = 1 / (1 + np.exp(-y))
    arms = stats.beta(a[:, None], b[:, None])
    return slow_chances(y, arms.logcdf(x), arms.pdf(x) * x * (1 - x))


def cold(random: np.random.Generator, arms: int) -> tuple[Vector, Vector]:
    return random.integers(0, 6, arms) + 1.0, random.integers(0, 60, arms) + 19.0


def mixed(random: np.random.Generator, arms: int) -> tuple[Vector, Vector]:
    return np.exp(random.uniform(0, 6, arms)), np.exp(random.uniform(2, 8, arms))


def two_scales(random: np.random.Generator, arms: int) -> tuple[Vector, Vector]:
    is_old = np.arange(arms) % 2 == 1
    return np.where(is_old, 400.0, 1.0) * random.uniform(0.8, 1.2, arms), np.where(is_old, 4000.0, 12.0)


@pytest.mark.parametrize("family", [cold, mixed, two_scales])
@pytest.mark.parametrize("count", [3, 50])
def test_beta_chances_are_the_integral(family, count: int) -> None:  # type: ignore[no-untyped-def]
    a, b = family(np.random.default_rng(count), count)
    chances = Posteriors.beta(a, b).chances(np.arange(count, dtype=np.int32))
    slow = slow_beta(a, b)
    assert abs(slow.sum() - 1) < 1e-5
    np.testing.assert_allclose(chances, slow, atol=1e-4)
    assert abs(chances.sum() - 1) < 1e-12


def test_normal_chances_are_the_integral() -> None:
    random = np.random.default_rng(3)
    means, deviations = random.normal(0, 1, 30), np.exp(random.uniform(-3, 1, 30))
    x = np.linspace(-40.0, 40.0, 10_001)
    arms = stats.norm(means[:, None], deviations[:, None])
    chances = Posteriors.normal(means, deviations).chances(np.arange(30, dtype=np.int32))
    np.testing.assert_allclose(chances, slow_chances(x, arms.logcdf(x), arms.pdf(x)), atol=1e-4)


def test_two_normal_arms_have_the_closed_form() -> None:
    chances = Posteriors.normal([0.3, 0.1], [0.2, 0.5]).chances(np.arange(2, dtype=np.int32))
    assert abs(chances[0] - stats.norm.cdf(0.2 / np.hypot(0.2, 0.5))) < 2e-5


def test_a_part_of_the_arms_have_the_chances_among_themselves() -> None:
    random = np.random.default_rng(4)
    a, b = mixed(random, 100)
    some = random.permutation(100)[:20].astype(np.int32)
    np.testing.assert_allclose(Posteriors.beta(a, b).chances(some), slow_beta(a[some], b[some]), atol=3e-4)


def test_chances_are_how_often_an_arm_draws_the_greatest() -> None:
    random = np.random.default_rng(5)
    a, b = cold(random, 12)
    draws = 200_000
    greatest = random.beta(a, b, size=(draws, 12)).argmax(axis=1)
    chances = Posteriors.beta(a, b).chances(np.arange(12, dtype=np.int32))
    deviations = np.sqrt(draws * chances * (1 - chances))
    assert (abs(np.bincount(greatest, minlength=12) - draws * chances) < 4.5 * deviations).all()


def test_beta_of_rates_has_these_means_and_deviations() -> None:
    a, b = np.array([3.0, 40.0, 0.7]), np.array([50.0, 90.0, 9.0])
    known = stats.beta(a, b)
    arms = np.arange(3, dtype=np.int32)
    found = Posteriors.beta_of_rates(known.mean(), known.std()).chances(arms)
    np.testing.assert_allclose(found, Posteriors.beta(a, b).chances(arms), atol=1e-6)


def test_no_arm_one_arm_and_arms_alike() -> None:
    assert Posteriors.beta([], []).chances(np.zeros(0, dtype=np.int32)).shape == (0,) and len(Posteriors.beta([], [])) == 0
    arms = Posteriors.beta([2.0] * 5, [30.0] * 5)
    assert arms.chances(np.array([3], dtype=np.int32)).tolist() == [1.0]
    np.testing.assert_allclose(arms.chances(np.arange(5, dtype=np.int32)), 0.2, rtol=1e-6)


def test_every_arm_that_can_win_has_a_chance() -> None:
    chances = Posteriors.beta([1.0, 1.0, 60.0], [400.0, 19.0, 200.0]).chances(np.arange(3, dtype=np.int32))
    assert (chances > 0).all() and chances[2] > chances[1] > chances[0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Posteriors.beta([1.0, 0.0], [2.0, 2.0]), "takes of arms: 0.0 is no number above 0"),
        (lambda: Posteriors.beta([1.0], [np.nan]), "misses of arms: nan is no number above 0"),
        (lambda: Posteriors.normal([0.0], [-1.0]), "deviations of arms: -1.0 is no number above 0"),
        (lambda: Posteriors.beta_of_rates([0.5, 0.5], [0.1, 0.6]), "no beta distribution has the mean 0.5 and the deviation 0.6"),
    ],
)
def test_what_no_posterior_can_be_is_said(make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=sentence):
        make()
