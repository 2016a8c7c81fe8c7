import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.evaluation.bootstrap import estimate_centred
from offline.evaluation.exposure import Exposure


def lists(random: np.random.Generator, members: int = 60, titles: int = 40, k: int = 3) -> np.ndarray:
    """Lists of titles drawn without replacement, the first ones more often."""
    keys = random.gumbel(size=(members, titles)) - np.log(np.arange(1, titles + 1))
    return np.argpartition(-keys, k, axis=1)[:, :k].astype(np.int32)


def test_coverage_counts_titles_once() -> None:
    shown = np.array([[0, 1, 3], [1, 0, -1]], np.int32)
    for k, share in ((2, 0.5), (3, 0.75)):
        exposure = Exposure(4, k)
        exposure.add(shown)
        assert exposure.coverage()[0] == share


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(7, 12))
def test_gini_is_the_mean_difference(shown: list[int], titles: int) -> None:
    exposure = Exposure(titles, 1)
    exposure.add(np.array(shown, np.int32)[:, None])
    counts = np.bincount(shown, minlength=titles)
    expected = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert exposure.gini()[0] == pytest.approx(expected)


def test_nothing_shown_is_no_inequality() -> None:
    exposure = Exposure(5, 2)
    exposure.add(np.full((3, 2), -1, np.int32))
    assert exposure.coverage()[0] == exposure.gini()[0] == 0.0


def test_models_share_their_draws() -> None:
    shown = lists(np.random.default_rng(0))
    one, same, other = Exposure(40, 3, seed=1), Exposure(40, 3, seed=1), Exposure(40, 3, seed=2)
    for exposure in (one, same, other):
        exposure.add(shown[:30])
        exposure.add(shown[30:])
    np.testing.assert_array_equal(one.coverage(), same.coverage())
    assert (one.coverage()[1:] != other.coverage()[1:]).any()
    assert one.coverage()[0] == other.coverage()[0]


def test_intervals_hold_what_the_next_members_would_be_shown() -> None:
    random = np.random.default_rng(0)
    found = []
    for seed in range(60):
        exposure = Exposure(40, 3, seed)
        exposure.add(lists(random))
        found.append([exposure.coverage(), exposure.gini()])
    for column in range(2):
        expected = np.mean([each[column][0] for each in found])
        estimates = [estimate_centred(each[column][0], each[column][1:]) for each in found]
        held = np.mean([one.low <= expected <= one.high for one in estimates])
        assert held > 0.8  # the plain percentiles of the resamples hold it in a quarter and two thirds of the cases
