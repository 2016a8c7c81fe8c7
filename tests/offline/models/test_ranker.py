"""The ranker's network: equal to what serves, position taken out, the same every time, whole when read back."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from offline.models import storage
from offline.models.ranker import RankerModel, RankerSettings
from offline.ranker_examples import Examples
from offline.ranker_quality import judge, ndcg, unbiased_gain
from shared.errors import ModelError
from shared.pages.blending import blend
from shared.pages.facts import Candidates, Facts
from shared.pages.features import FEATURES, features
from shared.pages.ranker import Ranker, name_bytes
from shared.pages.request import Request
from shared.pages.serving import Serving
from shared.state import MemberState, Played
from tests.online.snapshot_builder import NOW_MS, build_snapshot

RANKS = 12
ROW, RANK, TASTE, CONSTANT = (FEATURES.index(name) for name in ("log_row", "log_rank", "genre_taste_long", "device_tv"))


def shown(pages: int, seed: int = 0, bias: float = 1.0) -> Examples:
    """Pages of one row on which liked titles stand to the left, and are looked at the more, the further to the left they are.

    A title's worth is its taste. `bias` is how strongly what is looked at falls to the right.
    """
    random = np.random.default_rng(seed)
    values = random.standard_normal((pages, RANKS, len(FEATURES))).astype(np.float32)
    values[:, :, [ROW, CONSTANT]] = 0
    popularity = FEATURES.index("popularity")
    by_popularity = np.argsort(-values[:, :, popularity], axis=1)  # the page's order, which has nothing to do with worth
    values = np.take_along_axis(values, by_popularity[:, :, None], axis=1)
    values[:, :, RANK] = np.log1p(np.arange(RANKS))
    chance = 1 / (1 + np.exp(1.0 - 1.5 * values[:, :, TASTE])) * np.exp(-bias * values[:, :, RANK])
    flat = values.reshape(-1, len(FEATURES))
    count = len(flat)
    ones = np.ones(count, np.float32)
    return Examples(
        features=flat,
        labels=(random.random((pages, RANKS)) < chance).astype(np.float32).ravel(),
        weights=ones,
        propensities=ones,
        blend=flat[:, popularity],
        pages=np.repeat(np.arange(pages), RANKS),
        at_ms=np.repeat(np.arange(pages), RANKS) * 1000,
    )


QUICK = RankerSettings(hidden=(8,), epochs=15, batch=512, device="cpu")


@pytest.fixture(scope="module")
def fitted() -> RankerModel:
    train, validation = shown(2000).split_by_time(0.2)
    return RankerModel(QUICK).fit(train, validation)


def served(model: RankerModel) -> Ranker:
    ranker = Ranker.of(model.export())
    assert ranker is not None
    return ranker


@pytest.mark.parametrize("hidden", [(), (8,), (16, 4)])
def test_what_serves_gives_the_networks_chances(hidden: tuple[int, ...]) -> None:
    train, validation = shown(100).split_by_time(0.2)
    model = RankerModel(RankerSettings(hidden=hidden, epochs=2, device="cpu")).fit(train, validation)
    found = served(model).scores(validation.features)
    assert np.allclose(found, model.chances(validation), rtol=1e-4, atol=1e-6)
    assert np.ptp(found) > 0.01


def test_what_serves_gives_the_networks_chances_on_a_members_titles(fitted: RankerModel) -> None:
    built = build_snapshot(titles=300)
    serving = Serving(built.loaded())
    plays = tuple(Played(NOW_MS - 9_000_000 + at, f"e{at}", f"t{at}", "s", "stop", at * 90_000, 5_400_000) for at in range(50))
    facts = Facts(state=MemberState(played=plays), candidates=Candidates(*built.candidates["m1"]))
    request = Request("m1", "phone", "DE", NOW_MS)
    pool = blend(serving, facts, request)
    rows = features(serving, facts.state, request, pool.titles, pool.source_scores)
    with torch.no_grad():
        expected = torch.sigmoid(fitted.network.at_first_cell(torch.from_numpy(np.ascontiguousarray(rows)))).numpy()
    assert np.allclose(served(fitted).scores(rows), expected, rtol=1e-4, atol=1e-6)
    assert len(np.unique(expected)) > 200


def test_position_is_taken_out_of_the_scores(fitted: RankerModel) -> None:
    held_out = shown(800, seed=9)
    chances = fitted.chances(held_out).reshape(-1, RANKS)
    worth = 1 / (1 + np.exp(1.0 - 1.5 * held_out.features[:, TASTE]))
    assert np.corrcoef(chances.ravel(), worth)[0, 1] > 0.9
    assert np.allclose(fitted.examination(held_out)[:RANKS], np.exp(-np.log1p(np.arange(RANKS))), atol=0.15)
    train, validation = shown(2000).split_by_time(0.2)
    blind = RankerModel(msgspec.structs.replace(QUICK, with_position=False)).fit(train, validation)
    assert np.array_equal(blind.examination(held_out), np.ones(len(held_out.labels), np.float32))
    assert np.corrcoef(chances.ravel(), worth)[0, 1] > np.corrcoef(blind.chances(held_out), worth)[0, 1] + 0.15
    moved = held_out.features.copy()
    moved[:, [ROW, RANK]] = 3.0
    assert np.array_equal(served(fitted).scores(moved), served(fitted).scores(held_out.features))


def test_a_feature_that_never_differed_has_no_effect(fitted: RankerModel) -> None:
    rows = shown(10).features
    changed = rows.copy()
    changed[:, CONSTANT] = 1.0
    assert np.array_equal(served(fitted).scores(changed), served(fitted).scores(rows))


def test_the_seed_decides() -> None:
    train, validation = shown(100).split_by_time(0.2)
    settings = msgspec.structs.replace(QUICK, epochs=2)
    first, again = (RankerModel(settings).fit(train, validation).export() for _ in range(2))
    for name, array in first.items():
        assert np.array_equal(array, again[name]), name
    other = RankerModel(msgspec.structs.replace(settings, seed=8)).fit(train, validation).export()
    assert not np.array_equal(first["ranker/weights_1"], other["ranker/weights_1"])


def test_a_ranker_is_read_back_whole(fitted: RankerModel, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    again = RankerModel.load(tmp_path)
    assert again.settings == fitted.settings
    for name, array in fitted.export().items():
        assert np.array_equal(array, again.export()[name]), name


def test_a_folder_that_cannot_be_a_ranker_is_refused(fitted: RankerModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no saved model there"):
        RankerModel.load(tmp_path)
    fitted.save(tmp_path)
    manifest, arrays = storage.read(tmp_path)
    storage.write(tmp_path, "ials", manifest.settings, arrays)
    with pytest.raises(ModelError, match="holds a 'ials' model; expected 'ranker'"):
        RankerModel.load(tmp_path)
    other = {**arrays, "features": name_bytes((*FEATURES[:-1], "mood"))}
    storage.write(tmp_path, "ranker", manifest.settings, other)
    with pytest.raises(ModelError, match=r"trained with other features \(log_rank, mood\); train it anew"):
        RankerModel.load(tmp_path)
    storage.write(tmp_path, "ranker", {**manifest.settings, "hidden": [7]}, arrays)
    with pytest.raises(ModelError, match="the saved ranker does not fit this version"):
        RankerModel.load(tmp_path)
    storage.write(tmp_path, "ranker", {"wings": 2}, arrays)
    with pytest.raises(ModelError, match="unknown setting 'wings'"):
        RankerModel.load(tmp_path)


def test_there_must_be_something_to_learn_from() -> None:
    train, validation = shown(50).split_by_time(0.2)
    with pytest.raises(ModelError, match=r"0 of the \d+ cells to train on were played"):
        RankerModel(QUICK).fit(train.at(train.labels == 0), validation)
    with pytest.raises(ModelError, match="cells to validate on were played"):
        RankerModel(QUICK).fit(train, validation.at(validation.labels == 1))


def test_ndcg_of_pages() -> None:
    pages = shown(3)
    gains = np.zeros(len(pages.labels))
    gains[[0, RANKS + 1]] = 1.0  # page 0: its first cell; page 1: its second; page 2: none
    descending = -np.tile(np.arange(RANKS), 3).astype(float)
    found = ndcg(pages, descending, gains)
    assert found[:2] == pytest.approx([1.0, 1 / np.log2(3)]) and np.isnan(found[2])
    alike = ndcg(shown(3000), np.zeros(3000 * RANKS), np.tile(np.arange(RANKS) == 0, 3000).astype(float))
    assert np.mean(alike) == pytest.approx(np.mean(1 / np.log2(np.arange(RANKS) + 2.0)), abs=0.02)  # ties give nothing away


def test_a_ranker_is_judged_beside_the_blend(fitted: RankerModel) -> None:
    held_out = shown(800, seed=5)
    figures = judge(fitted, held_out)
    assert figures["pages"] == 800
    assert figures["blend_ndcg"] > figures["ranker_ndcg"]  # the pages are in the blend's order, and looked at from the left
    assert figures["ranker_unbiased_gain"] > figures["blend_unbiased_gain"] + 0.05
    by_chance = unbiased_gain(held_out, np.zeros(len(held_out.labels)), fitted.examination(held_out))
    assert figures["blend_unbiased_gain"] == pytest.approx(by_chance, abs=0.05)  # popularity says nothing here
