import numpy as np
import pytest

from offline.models import IALS, IALSSettings
from offline.models.similar import similar_titles
from shared.errors import InputError
from tests.builders import checkerboard, interactions_of, random_interactions


def test_checkerboard_neighbours_are_of_the_same_colour() -> None:
    world = checkerboard(40)
    model = IALS(IALSSettings(factors=4)).fit(world)
    near = similar_titles(model.title_factors, world.matrix, 10)
    assert (near.titles % 2 == np.arange(40)[:, None] % 2).all()
    # Of the 20 members of a colour, all but two watched both of two titles.
    assert (near.together == 18).all()


def test_neighbours_equal_the_definition() -> None:
    world = random_interactions(90, 70, share=0.1)
    factors = np.random.default_rng(2).standard_normal((70, 5)).astype(np.float32)
    near = similar_titles(factors, world.matrix, 8, shrinkage=3)
    watched = (world.matrix.toarray() > 0).astype(np.int64)
    together = watched.T @ watched
    direction = factors / np.linalg.norm(factors, axis=1, keepdims=True)
    expected = direction @ direction.T * together / (together + 3)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(np.where(near.titles >= 0, near.scores, 0), -np.sort(-expected.clip(0))[:, :8], atol=1e-6)
    title, place = np.nonzero(near.titles >= 0)
    np.testing.assert_array_equal(near.together[title, place], together[title, near.titles[title, place]])


def test_scores_lie_in_their_range_and_short_lists_are_padded() -> None:
    world = random_interactions()
    near = similar_titles(IALS(IALSSettings(factors=8)).fit(world).title_factors, world.matrix, 40)
    kept = near.titles >= 0
    assert (near.scores[kept] > 0).all()
    assert (near.scores[kept] <= 1).all()
    assert (near.together[kept] > 0).all()
    assert np.isneginf(near.scores[~kept]).all()
    assert not near.together[~kept].any()
    assert not (near.titles == np.arange(30)[:, None]).any()
    assert (np.diff(np.where(kept, near.scores, -1.0), axis=1) <= 0).all()


def plays_together(pairs: dict[tuple[int, ...], int], titles: int) -> np.ndarray:
    """As many members as said for each set of titles, who watched just these."""
    rows = [np.isin(np.arange(titles), chosen) for chosen, count in pairs.items() for _ in range(count)]
    return np.array(rows, np.float32)


def test_a_neighbour_that_few_watched_together_is_held_back() -> None:
    factors = np.array([[1, 0], [1, 0.05], [1, 0.3]], np.float32)
    world = interactions_of(plays_together({(0, 1): 1, (0, 2): 30}, 3))
    assert similar_titles(factors, world.matrix, 2, shrinkage=0).titles[0].tolist() == [1, 2]
    assert similar_titles(factors, world.matrix, 2).titles[0].tolist() == [2, 1]


def test_a_title_that_is_only_popular_is_no_near_neighbour() -> None:
    factors = np.array([[1, 0.1], [1, 0.2], [0.1, 1]], np.float32)
    world = interactions_of(plays_together({(0, 1): 20, (0, 2): 60, (2,): 900}, 3))
    assert similar_titles(factors, world.matrix, 2).titles[0].tolist() == [1, 2]


def test_titles_that_nobody_watched_together_are_no_neighbours() -> None:
    world = interactions_of(plays_together({(0, 1): 3, (2,): 5}, 3))
    near = similar_titles(np.ones((3, 2), np.float32), world.matrix, 2)
    assert near.titles.tolist() == [[1, -1], [0, -1], [-1, -1]]
    alone = interactions_of(plays_together({(0,): 2, (1,): 2, (2,): 2}, 3))
    assert (similar_titles(np.ones((3, 2), np.float32), alone.matrix, 2).titles == -1).all()


def test_a_title_seen_without_interest_is_not_watched() -> None:
    world = interactions_of(plays_together({(0, 1): 3, (0, 2): 3}, 3))
    world.matrix.data[world.matrix.indices == 2] = 0
    assert similar_titles(np.ones((3, 2), np.float32), world.matrix, 2).titles[0].tolist() == [1, -1]


def test_arguments_that_do_not_fit_are_refused() -> None:
    world, factors = checkerboard(4), np.ones((4, 2), np.float32)
    with pytest.raises(InputError, match="over 4 titles; expected 3"):
        similar_titles(factors[:3], world.matrix, 1)
    with pytest.raises(InputError, match="k is 0"):
        similar_titles(factors, world.matrix, 0)
    with pytest.raises(InputError, match="shrinkage is -1"):
        similar_titles(factors, world.matrix, 1, shrinkage=-1)
