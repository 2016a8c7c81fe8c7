import numpy as np
import pytest

from offline.evaluation.bootstrap import estimate, estimate_centred, resampled_means


def test_interval_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = estimate(values, resampled_means(values[:, None], resamples=4000)[:, 0])
    assert found is not None
    error = values.std() / 20
    assert found.mean == values.mean()
    np.testing.assert_allclose([found.low, found.high], values.mean() + np.array([-1.96, 1.96]) * error, atol=0.15 * error)


def test_columns_share_their_draws() -> None:
    values = np.random.default_rng(2).random(50)
    means = resampled_means(np.stack([values, values + 1], axis=1), resamples=20)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0)
    assert means[:, 0].std() > 0


def test_seed_decides() -> None:
    values = np.random.default_rng(3).random((30, 1))
    np.testing.assert_array_equal(resampled_means(values, seed=4), resampled_means(values, seed=4))
    assert (resampled_means(values, seed=4) != resampled_means(values, seed=5)).any()


def test_members_without_a_value_are_left_out() -> None:
    values = np.random.default_rng(6).random((40, 2))
    values[10:, 1] = np.nan
    means = resampled_means(values, resamples=3000)
    found = estimate(values[:, 1], means[:, 1])
    alone = estimate(values[:10, 1], resampled_means(values[:10, 1:], resamples=3000)[:, 0])
    assert found is not None
    assert alone is not None
    assert found.mean == pytest.approx(alone.mean)
    assert abs((found.high - found.low) / (alone.high - alone.low) - 1) < 0.2
    assert estimate(np.full(3, np.nan), means[:, 1]) is None


def test_blocks_of_resamples_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).random((30, 2))
    whole = resampled_means(values)
    monkeypatch.setattr("offline.evaluation.bootstrap.CELLS", 100)
    np.testing.assert_allclose(resampled_means(values), whole)


def test_spread_is_laid_about_the_figure() -> None:
    found = estimate_centred(0.8, np.linspace(0.4, 0.6, 201))
    assert (found.mean, round(found.low, 3), round(found.high, 3)) == (0.8, 0.705, 0.895)
