import numpy as np

from offline.evaluation.bootstrap import estimate, resampled_means


def test_interval_has_the_width_that_theory_gives() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = estimate(values, resampled_means(values[:, None], resamples=4000)[:, 0])
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
