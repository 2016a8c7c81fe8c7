"""Candidates of a block: on the scale of iALS, with what each source said, and new titles for those whose taste they meet."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from offline.candidate_lists import CONTENT, NewTitles, candidates
from offline.interactions import Interactions
from offline.models import IALS, Blend, IALSSettings, Model, create_model
from offline.models.blend import part_of
from tests.builders import checkerboard, random_interactions


@pytest.fixture(scope="module")
def blend() -> Model[Any]:
    return create_model("blend", sources="ials,popularity", **{"ials.factors": 8}).fit(random_interactions())


def test_a_blends_candidates_have_its_order_and_the_scores_of_ials(blend: Model[Any]) -> None:
    world = random_interactions()
    members = np.arange(60)
    found = candidates(blend, members, 9, world.matrix, None, 0.05)
    ials = part_of(blend, IALS)
    assert isinstance(blend, Blend) and ials is not None
    expected = blend.recommend_with_sources(members, 9, world.matrix)
    np.testing.assert_array_equal(found.top.titles, expected.top.titles)
    np.testing.assert_array_equal(found.top.scores, ials.recommend(members, 9, world.matrix).scores)
    assert (np.diff(found.top.scores, axis=1) <= 0).all()
    assert set(found.scores) == {"ials", "popularity"}
    for name, scores in found.scores.items():
        np.testing.assert_array_equal(scores, expected.scores[name])


def test_a_single_model_keeps_its_own_scores() -> None:
    world = random_interactions()
    model = create_model("popularity").fit(world)
    found = candidates(model, np.arange(60), 5, world.matrix, None, 0.05)
    expected = model.recommend(np.arange(60), 5, world.matrix)
    np.testing.assert_array_equal(found.top.scores, expected.scores)
    np.testing.assert_array_equal(found.scores["popularity"], expected.scores)


def genres(world: Interactions) -> dict[str, tuple[str, ...]]:
    """Titles of even members are comedies, of odd ones dramas; two of each are new, and one new one has no genres."""
    known = {str(title): ("Comedy", "Drama")[number % 2 :][:1] for number, title in enumerate(world.title_ids)}
    new = {"new comedy 1": ("Comedy",), "new comedy 2": ("Comedy",), "new drama 1": ("Drama",), "new drama 2": ("Drama",)}
    return {**known, **new, "new, unknown": ()}


def test_new_titles_reach_members_with_that_taste_and_no_others() -> None:
    world = checkerboard(40)
    model = IALS(IALSSettings(factors=8)).fit(world)
    new = NewTitles(model, genres(world))
    assert new.title_ids.tolist() == ["new comedy 1", "new comedy 2", "new drama 1", "new drama 2"]
    found = candidates(model, np.array([0, 1, 2, -1]), 10, world.matrix[[0, 1, 2, 3]], new, 0.2)
    names = [*world.title_ids.tolist(), *new.title_ids.tolist()]
    listed = [[names[title] for title in row if title >= 0] for row in found.top.titles]
    assert [[name for name in row if name.startswith("new")] for row in listed] == [
        ["new comedy 1", "new comedy 2"],
        ["new drama 1", "new drama 2"],
        ["new comedy 1", "new comedy 2"],
        [],
    ]
    assert [len(row) for row in listed] == [10, 10, 10, 10]
    assert listed[0][0] == "t000"  # the rest of the list is the model's, with the new ones behind it at its last score
    own = found.top.titles[0] < 40
    kept = found.top.titles[0] >= 0
    np.testing.assert_array_equal(found.top.scores[0][kept & ~own], found.top.scores[0][kept & own][-1])
    assert np.isnan(found.scores["ials"][0][kept & ~own]).all() and (found.scores[CONTENT][0][kept & ~own] > 0).all()


def test_a_share_too_small_for_a_title_leaves_the_list_alone() -> None:
    world = checkerboard(40)
    model = IALS(IALSSettings(factors=8)).fit(world)
    new = NewTitles(model, genres(world))
    for share, k in ((0.0, 10), (0.04, 10), (0.9, 1)):
        found = candidates(model, np.arange(40), k, world.matrix, new, share)
        np.testing.assert_array_equal(found.top.titles, model.recommend(np.arange(40), k, world.matrix).titles)


def test_a_member_who_has_seen_everything_gets_new_titles_or_nothing() -> None:
    world = checkerboard(40)
    model = IALS(IALSSettings(factors=8)).fit(world)
    everything = sparse.csr_array(np.ones((1, 40), np.float32))
    assert (candidates(model, np.array([0]), 10, everything, None, 0.2).top.titles == -1).all()
    found = candidates(model, np.array([0]), 10, everything, NewTitles(model, genres(world)), 0.2)
    assert sorted(found.top.titles[0][found.top.titles[0] >= 0].tolist()) == [40, 41]
    assert np.isfinite(found.top.scores[0][found.top.titles[0] >= 0]).all()
