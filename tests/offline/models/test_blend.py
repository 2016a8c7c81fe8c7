"""The blend: lists laid over each other as a slow reference has it, weights that are right where the truth is known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offline.interactions import Interactions
from offline.models import Blend, BlendSettings, TopK, create_model
from offline.models.contract import Arrays
from offline.models.mixing import best_weights, mix, unite
from offline.training.checkpoint import CheckpointFolder
from shared.errors import InputError, ModelError
from tests.builders import random_interactions

SOURCES = {"sources": "ials,popularity", "ials.factors": 8}


def random_lists(sources: int, members: int = 12, titles: int = 30, length: int = 9, seed: int = 3) -> list[TopK]:
    """Lists as models give them: the best first, some rows shorter."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(sources):
        named = np.argsort(random.random((members, titles)), axis=1)[:, :length].astype(np.int32)
        scores = -np.sort(-random.random((members, length)), axis=1).astype(np.float32)
        named[0, 4:], scores[0, 4:] = -1, -np.inf
        made.append(TopK(named, scores))
    return made


def slow_scores(lists: list[TopK], weights: np.ndarray, member: int) -> dict[int, float]:
    """What each title of one member comes to."""
    total: dict[int, float] = {}
    for one, weight in zip(lists, weights, strict=True):
        kept = one.titles[member] >= 0
        titles, scores = one.titles[member][kept], one.scores[member][kept].astype(float)
        for title, score in zip(titles.tolist(), (scores - scores.min()) / scores.std(), strict=True):
            total[title] = total.get(title, 0.0) + weight * score
    return total


def test_lists_are_mixed_as_the_slow_reference_has_it() -> None:
    lists, weights = random_lists(3), np.array([0.5, 0.3, 0.2], np.float32)
    top, own = mix(unite(lists, depth=9), weights, 6)
    for member in range(12):
        expected = slow_scores(lists, weights, member)
        best = sorted(expected, key=lambda title: (-expected[title], title))[:6]
        assert top.titles[member].tolist() == best
        np.testing.assert_allclose(top.scores[member], [expected[title] for title in best], rtol=1e-4, atol=1e-5)
        for source, one in enumerate(lists):
            given = dict(zip(one.titles[member].tolist(), one.scores[member].tolist(), strict=True))
            np.testing.assert_array_equal(own[source, member], np.float32([given.get(title, np.nan) for title in best]))


def test_a_list_of_one_source_keeps_its_order() -> None:
    [one] = random_lists(1)
    top, _ = mix(unite([one], depth=9), np.ones(1, np.float32), 9)
    np.testing.assert_array_equal(top.titles, one.titles)
    assert np.isneginf(top.scores[one.titles < 0]).all()


def test_weights_come_near_the_best_of_a_fine_grid_and_are_never_worse_than_a_source_alone() -> None:
    random = np.random.default_rng(5)
    lists = random_lists(2, members=200)
    union = unite(lists, 9)
    hits = (union.titles >= 0) & (random.random(union.titles.shape) < 0.1 * union.standard[0].clip(0) + 0.05 * union.standard[1])
    hits[:, 0] |= ~hits.any(axis=1)
    relevant = hits.sum(axis=1)

    def value(weights: np.ndarray) -> float:
        return best_weights_at(union, hits, relevant, weights)

    weights, found = best_weights(union, hits, relevant, 5)
    grid = [value(np.array([share, 1 - share], np.float32)) for share in np.linspace(0, 1, 101)]
    assert found == pytest.approx(value(weights))
    assert found >= max(grid[0], grid[-1])
    assert found >= max(grid) - 0.005
    assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
    assert max(grid) > max(grid[0], grid[-1]) + 0.01  # there was something to find


def best_weights_at(union: object, hits: np.ndarray, relevant: np.ndarray, weights: np.ndarray) -> float:
    """Mean NDCG@5 of given weights, by the definition."""
    top, _ = mix(union, weights, 5)  # type: ignore[arg-type]
    gains = []
    for member, titles in enumerate(top.titles):
        wanted = set(union.titles[member][hits[member]].tolist())  # type: ignore[attr-defined]
        gain = sum(1 / np.log2(rank + 2) for rank, title in enumerate(titles.tolist()) if title in wanted)
        gains.append(gain / sum(1 / np.log2(rank + 2) for rank in range(min(5, relevant[member]))))
    return float(np.mean(gains))


def test_a_blend_tells_what_each_source_gave_alone_and_is_no_worse() -> None:
    model = create_model("blend", **SOURCES).fit(random_interactions(members=80))
    assert isinstance(model, Blend)
    assert set(model.validation) == {"ials", "popularity", "blend"}
    assert model.validation["blend"] >= max(model.validation["ials"], model.validation["popularity"])
    assert model.weights.sum() == pytest.approx(1)


def test_source_scores_are_the_sources_own() -> None:
    world = random_interactions()
    model = create_model("blend", **SOURCES).fit(world)
    assert isinstance(model, Blend)
    members = np.array([4, -1, 9])
    found = model.recommend_with_sources(members, 6)
    everything = {name: source.recommend(members, 30) for name, source in model.sources.items()}
    for name, top in everything.items():
        for row in range(3):
            given = dict(zip(top.titles[row].tolist(), top.scores[row].tolist(), strict=True))
            assert found.scores[name][row].tolist() == [given[title] for title in found.top.titles[row].tolist()]


def test_the_first_titles_do_not_depend_on_how_many_are_asked_for() -> None:
    world = random_interactions()
    model = create_model("blend", depth=10, **SOURCES).fit(world)
    few, many = model.recommend(np.arange(60), 5, world.matrix), model.recommend(np.arange(60), 10, world.matrix)
    np.testing.assert_array_equal(few.titles, many.titles[:, :5])
    beyond = model.recommend(np.arange(60), 25)
    assert (beyond.titles >= 0).all()


def test_one_source_needs_no_weights() -> None:
    model = create_model("blend", sources="ials", **{"ials.factors": 8}).fit(random_interactions())
    assert isinstance(model, Blend) and model.validation == {} and model.weights.tolist() == [1.0]


class Interrupted(Exception):
    pass


class Until(CheckpointFolder):
    """A checkpoint that lets a few passes be kept and then ends the fit, as a kill does."""

    def __init__(self, folder: Path, left: int) -> None:
        super().__init__(folder, "blend", "the same", every_s=0.0)
        self.left, self.asked = left, 0

    def keep(self, number: int, arrays: Callable[[], Arrays]) -> None:
        self.asked += 1
        super().keep(number, arrays)
        if self.asked == self.left:
            raise Interrupted


def test_a_fit_goes_on_from_within_a_source(tmp_path: Path) -> None:
    settings = {**SOURCES, "ials.iterations": 6}
    world = random_interactions()
    whole = Until(tmp_path / "whole", 1000)
    expected = create_model("blend", **settings).fit(world, None, whole).recommend(np.arange(60), 8)
    with pytest.raises(Interrupted):
        create_model("blend", **settings).fit(world, None, Until(tmp_path / "cut", 4))
    assert (CheckpointFolder(tmp_path / "cut", "blend", "the same").latest() or (-1,))[0] == 0  # within the first source
    again = Until(tmp_path / "cut", 1000)
    resumed = create_model("blend", **settings).fit(world, None, again).recommend(np.arange(60), 8)
    assert again.asked == whole.asked - 4
    np.testing.assert_array_equal(resumed.titles, expected.titles)
    np.testing.assert_allclose(resumed.scores, expected.scores, rtol=1e-5)


def test_the_newest_interactions_can_be_held_out() -> None:
    world = random_interactions()
    assert isinstance(create_model("blend", held_out="newest", **SOURCES).fit(world), Blend)
    without = Interactions(world.member_ids, world.title_ids, world.matrix)
    with pytest.raises(ModelError, match="needs the times"):
        create_model("blend", held_out="newest", **SOURCES).fit(without)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sources": "ials,oracle"}, "unknown model 'oracle'"),
        ({"sources": "ials,ials"}, "each once"),
        ({"sources": ""}, "expected names of models"),
        ({"sources": "blend"}, "cannot be a source"),
        ({"ials.colour": "1"}, "model 'ials', a source of the blend: unknown setting 'colour'"),
        ({"oracle.factors": "1"}, "unknown model 'oracle'"),
        ({"validation_share": "1.0"}, "validation_share"),
    ],
)
def test_wrong_settings_are_refused_before_a_fit(settings: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        create_model("blend", **settings)


def test_a_save_whose_sources_this_version_does_not_know_is_refused(tmp_path: Path) -> None:
    create_model("blend", **SOURCES).fit(random_interactions()).save(tmp_path)
    saved = json.loads((tmp_path / "model.json").read_text())
    saved["settings"]["parts"] = {"ials": {"colour": 1}}
    (tmp_path / "model.json").write_text(json.dumps(saved))
    with pytest.raises(ModelError, match=r"the saved settings do not fit this version of 'blend'.*colour"):
        Blend.load(tmp_path)


def test_settings_are_typed_however_they_are_given() -> None:
    model = create_model("blend", sources="ials", parts={"ials": {"factors": 8}})
    assert isinstance(model.settings, BlendSettings)
    assert model.settings.parts == {"ials": {"factors": 8}}
