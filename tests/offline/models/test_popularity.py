import numpy as np
import pytest

from offline.interactions import Interactions, id_array
from offline.models import Popularity, PopularitySettings
from shared.errors import ModelError

HOUR_MS = 3_600_000


def test_ranks_by_weight_and_settles_ties_by_index() -> None:
    world = Interactions.from_columns([*"abcde"], [*"xyyzz"], weight=[1, 1, 1, 1, 1])
    top = Popularity().fit(world).recommend(np.array([0]), 3)
    assert world.title_ids[top.titles[0]].tolist() == ["y", "z", "x"]
    np.testing.assert_allclose(top.scores[0], [0.4, 0.4, 0.2])


def test_older_plays_count_less() -> None:
    world = Interactions.from_columns([*"abc"], [*"xxy"], at_ms=[0, 0, 2 * HOUR_MS])
    decayed = Popularity(PopularitySettings(half_life_h=1.0)).fit(world).recommend(np.array([0]), 2)
    assert decayed.titles[0].tolist() == [1, 0]
    np.testing.assert_allclose(decayed.scores[0], [1 / 1.5, 0.5 / 1.5], rtol=1e-6)
    assert Popularity().fit(world).recommend(np.array([0]), 2).titles[0].tolist() == [0, 1]


def test_decay_without_times_is_refused() -> None:
    with pytest.raises(ModelError, match="at_ms"):
        Popularity(PopularitySettings(half_life_h=1.0)).fit(Interactions.from_columns(["a"], ["x"]))


def test_countries_have_their_own_order_and_lean_on_the_world() -> None:
    plays = [("US", "x")] * 30 + [("DE", "y")] * 10
    world = Interactions.from_columns(
        [f"m{i:02}" for i in range(40)], [title for _, title in plays], country=[code for code, _ in plays]
    )
    model = Popularity(PopularitySettings(country_prior=4.0)).fit(world)
    top = model.recommend_in(id_array(["US", "DE", "FR"]), 2)
    assert world.title_ids[top.titles[:, 0]].tolist() == ["x", "y", "x"]
    np.testing.assert_allclose(top.scores[1], [(10 + 4 * 0.25) / 14, 4 * 0.75 / 14], rtol=1e-6)
    np.testing.assert_array_equal(model.recommend(np.array([0, 39, -1]), 1).titles[:, 0], [0, 1, 0])
    assert Popularity(PopularitySettings(by_country=False)).fit(world).recommend(np.array([39]), 1).titles[0, 0] == 0
