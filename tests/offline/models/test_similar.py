import numpy as np
import pytest

from offline.models import IALS, IALSSettings
from offline.models.similar import similar_titles
from shared.errors import InputError
from tests.builders import checkerboard, random_interactions


def test_checkerboard_neighbours_are_of_the_same_colour() -> None:
    model = IALS(IALSSettings(factors=4)).fit(checkerboard(40))
    near = similar_titles(model.title_factors, model.popularity, 10)
    assert (near.titles % 2 == np.arange(40)[:, None] % 2).all()


def test_scores_lie_in_their_range_and_nothing_is_its_own_neighbour() -> None:
    model = IALS(IALSSettings(factors=8)).fit(random_interactions())
    near = similar_titles(model.title_factors, model.popularity, 40)
    kept = near.titles >= 0
    assert (near.scores[kept] > 0).all()
    assert (near.scores[kept] <= 1).all()
    assert np.isneginf(near.scores[~kept]).all()
    assert not (near.titles == np.arange(30)[:, None]).any()


def test_a_rarely_played_neighbour_is_held_back() -> None:
    factors = np.array([[1, 0], [1, 0.05], [1, 0.3], [0, 0]], np.float32)
    plays = np.array([500, 1, 500, 0], np.float32)
    assert similar_titles(factors, plays, 3, shrinkage=0).titles[0].tolist() == [1, 2, -1]
    assert similar_titles(factors, plays, 3, shrinkage=20).titles[0].tolist() == [2, 1, -1]


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="expected one number a title"):
        similar_titles(np.ones((3, 2), np.float32), np.ones(2, np.float32), 1)
    with pytest.raises(InputError, match="shrinkage"):
        similar_titles(np.ones((3, 2), np.float32), np.ones(3, np.float32), 1, shrinkage=-1)
