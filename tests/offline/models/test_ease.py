from pathlib import Path

import numpy as np
import pytest
import torch

from offline.models import EASE, EASESettings, load_model
from offline.models.storage import remove_member
from shared.errors import InputError, ModelError
from tests.builders import interactions_of, random_interactions


def slow_weights(dense: np.ndarray, settings: EASESettings, columns: np.ndarray) -> np.ndarray:
    """Some titles' columns, each by its own ridge regression on all other titles, which the closed form solves at once."""
    played = (dense > 0).astype(np.float64)
    scaled = played * np.maximum(played.sum(axis=1, keepdims=True), 1) ** -settings.member_exponent
    gram = scaled.T @ scaled
    often = gram.diagonal()
    penalty = settings.regularisation * often.mean() * (often / often.mean()) ** settings.regularisation_exponent
    weights = np.zeros((len(gram), len(columns)))
    for place, title in enumerate(columns):
        others = np.arange(len(gram)) != title
        system = gram[np.ix_(others, others)] + np.diag(penalty[others])
        weights[others, place] = np.linalg.solve(system, gram[others, title])
    return weights


@pytest.mark.parametrize("titles", [7, 300])  # within a block of rows, and over several
@pytest.mark.parametrize("exponents", [(0.0, 0.0), (0.5, 0.25), (1.0, 0.5)])
def test_weights_are_those_of_a_regression_for_each_title(titles: int, exponents: tuple[float, float]) -> None:
    world = random_interactions(90, titles)
    regularisation, member = exponents
    settings = EASESettings(
        weight_exponent=0.0, regularisation=0.7, regularisation_exponent=regularisation, member_exponent=member
    )
    some = np.arange(0, titles, max(1, titles // 7))
    expected = slow_weights(world.matrix.toarray(), settings, some)
    np.testing.assert_allclose(EASE(settings).fit(world).weights[:, some], expected, rtol=1e-4, atol=1e-6)


def test_scores_are_histories_times_weights() -> None:
    world = random_interactions()
    model = EASE(EASESettings(weight_exponent=0.5)).fit(world)
    dense = world.matrix.toarray()
    prepared = np.where(dense > 0, (dense / world.matrix.data.mean()) ** 0.5, 0.0)
    top = model.recommend(np.arange(60), 30)
    np.testing.assert_allclose(top.scores, np.take_along_axis(prepared @ model.weights, top.titles, 1), rtol=1e-4, atol=1e-5)


def test_scale_of_the_weights_does_not_matter() -> None:
    dense = random_interactions().matrix.toarray()
    one, other = (EASE(EASESettings(weight_exponent=1.0)).fit(interactions_of(dense * scale)) for scale in (1, 50))
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-4, atol=1e-6)


def test_a_title_that_nobody_watched_has_no_weight() -> None:
    dense = random_interactions().matrix.toarray()
    dense[:, 4] = 0
    weights = EASE().fit(interactions_of(dense)).weights
    assert not weights[4].any()
    assert not weights[:, 4].any()


def test_contributions_add_up_to_the_score() -> None:
    world = random_interactions()
    model = EASE().fit(world)
    top = model.recommend_from(world, 3, exclude=world.matrix)
    titles, added = model.contributions(world, 8, int(top.titles[8, 0]))
    assert sorted(titles) == world.matrix[[8]].indices.tolist()
    assert (np.diff(added) <= 0).all()
    assert added.sum() == pytest.approx(top.scores[8, 0], rel=1e-4)
    with pytest.raises(InputError, match="title is 30; expected 0 or more and below 30"):
        model.contributions(world, 8, 30)


def test_too_many_titles_are_refused_before_any_work() -> None:
    with pytest.raises(ModelError, match=r"30 titles are more than most_titles, 29.*use the model 'graph'"):
        EASE(EASESettings(most_titles=29)).fit(random_interactions())


def test_settings_that_cannot_be_are_refused() -> None:
    for name in ("regularisation", "most_titles"):
        with pytest.raises(InputError, match=f"{name} is 0"):
            EASESettings(**{name: 0})


def test_number_of_threads_does_not_change_the_outcome() -> None:
    world, threads = random_interactions(200, 600), torch.get_num_threads()
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        try:
            found.append(EASE().fit(world).weights)
        finally:
            torch.set_num_threads(threads)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-7)


def test_an_erased_member_leaves_no_history_in_a_saved_model(tmp_path: Path) -> None:
    world = random_interactions()
    before = EASE().fit(world)
    before.save(tmp_path)
    assert remove_member(tmp_path, "m007")
    after = load_model(tmp_path)
    assert isinstance(after, EASE)
    others = np.delete(np.arange(60), 7)
    assert after.member_ids.tolist() == world.member_ids[others].tolist()
    np.testing.assert_array_equal(after.histories.toarray(), before.histories.toarray()[others])
    np.testing.assert_array_equal(after.recommend(np.arange(59), 5).titles, before.recommend(others, 5).titles)
