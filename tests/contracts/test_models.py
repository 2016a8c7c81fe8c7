"""What every registered model must do. A model is exempt from a check only by what it declares of itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from offline.interactions import Interactions
from offline.models import REGISTRY, Model, Pass, TopK, create_model, load_model
from offline.training.checkpoint import CheckpointFolder
from shared.errors import InputError, MarqueeError, ModelError
from tests.builders import checkerboard, interactions_of, random_interactions

FAST: dict[str, dict[str, Any]] = {
    "blend": {"sources": "ials,popularity", "ials.factors": 8},
    "graph": {"rank": 8},
    "ials": {"factors": 8},
    "sequence": {"dim": 16, "layers": 1, "heads": 1, "epochs": 4, "learning_rate": 0.03, "warm_up_steps": 10, "averaging": 0.9},
}
"""Settings that make a model small enough for these tests; the defaults otherwise."""


@pytest.fixture(params=sorted(REGISTRY))
def model(request: pytest.FixtureRequest) -> Model[Any]:
    return create_model(request.param, **FAST.get(request.param, {}))


def everyone(interactions: Interactions) -> np.ndarray:
    return np.arange(len(interactions.member_ids))


def assert_same_ranking(one: TopK, other: TopK) -> None:
    """Equal up to rounding: titles may change places only where their scores cannot be told apart."""
    np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4, atol=1e-5)
    for row, place in zip(*np.nonzero(one.titles != other.titles), strict=True):
        others = np.delete(one.scores[row], place)
        assert np.abs(others - one.scores[row, place]).min() < 1e-4


def test_checkerboard_has_its_obvious_answer(model: Model[Any]) -> None:
    if not model.personal:
        pytest.skip("declares that it recommends the same to everybody")
    world = checkerboard(40)
    top = model.fit(world).recommend(everyone(world), 5, exclude=world.matrix)
    np.testing.assert_array_equal(top.titles[:, 0], np.arange(40))


def test_checkerboard_from_histories_given_later(model: Model[Any]) -> None:
    if not model.personal:
        pytest.skip("declares that it recommends the same to everybody")
    world = checkerboard(40)
    half = checkerboard(40).select(np.arange(0, 40, 3))
    top = model.fit(world).recommend_from(half, 1, exclude=half.matrix)
    np.testing.assert_array_equal(top.titles[:, 0], np.arange(0, 40, 3))


def test_shapes_types_and_order(model: Model[Any]) -> None:
    world = random_interactions()
    top = model.fit(world).recommend(everyone(world), 7)
    assert top.titles.shape == top.scores.shape == (60, 7)
    assert (top.titles.dtype, top.scores.dtype) == (np.int32, np.float32)
    assert (np.diff(top.scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 7 for row in top.titles.tolist())
    tied = np.diff(top.scores, axis=1) == 0
    assert (np.diff(top.titles, axis=1)[tied] > 0).all()


def test_batch_equals_single(model: Model[Any]) -> None:
    world = random_interactions()
    model.fit(world)
    batch = model.recommend(everyone(world), 6, exclude=world.matrix)
    single = [model.recommend(np.array([i]), 6, exclude=world.matrix[[i]]) for i in range(60)]
    assert_same_ranking(batch, TopK(np.concatenate([s.titles for s in single]), np.concatenate([s.scores for s in single])))


def test_saved_equals_loaded(model: Model[Any], tmp_path: Path) -> None:
    world = random_interactions()
    model.fit(world).save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert type(loaded) is type(model)
    assert loaded.settings == model.settings
    assert loaded.member_ids.tolist() == world.member_ids.tolist()
    assert loaded.title_ids.tolist() == world.title_ids.tolist()
    members = np.append(everyone(world), -1)
    for before, after in zip(model.recommend(members, 9), loaded.recommend(members, 9), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(model.recommend_from(world, 9), loaded.recommend_from(world, 9), strict=True):
        np.testing.assert_array_equal(before, after)


def test_saving_again_replaces_the_model_and_leaves_nothing_behind(model: Model[Any], tmp_path: Path) -> None:
    model.fit(random_interactions(seed=1)).save(tmp_path)
    model.fit(random_interactions(seed=2)).save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    expected = model.recommend(np.arange(60), 5)
    np.testing.assert_array_equal(load_model(tmp_path).recommend(np.arange(60), 5).titles, expected.titles)


def test_damaged_missing_and_newer_saves_are_refused(model: Model[Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no saved model"):
        type(model).load(tmp_path / "nowhere")
    model.fit(random_interactions()).save(tmp_path)
    (tensors,) = tmp_path.glob("*.safetensors")
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(content)
    with pytest.raises(ModelError, match="checksum"):
        load_model(tmp_path)
    tensors.unlink()
    with pytest.raises(ModelError, match="tensors"):
        load_model(tmp_path)
    manifest = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(ModelError, match="version is 99"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**manifest, "model": "unheard-of"}))
    with pytest.raises(ModelError, match="unheard-of"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ModelError, match=r"model\.json"):
        load_model(tmp_path)


def test_deterministic_under_a_seed(model: Model[Any]) -> None:
    world = random_interactions()
    again = type(model)(model.settings)
    for one, other in zip(
        model.fit(world).recommend(everyone(world), 8), again.fit(world).recommend(everyone(world), 8), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_excluded_titles_are_left_out(model: Model[Any]) -> None:
    world = random_interactions()
    dense = world.matrix.toarray() > 0
    top = model.fit(world).recommend(everyone(world), 30, exclude=world.matrix)
    for member in range(60):
        listed = top.titles[member]
        assert not dense[member, listed[listed >= 0]].any()
        assert (listed >= 0).sum() == (~dense[member]).sum()


def test_k_beyond_the_catalogue_is_padded(model: Model[Any]) -> None:
    world = random_interactions(titles=5)
    top = model.fit(world).recommend(np.array([0, -1]), 8)
    assert top.titles.shape == (2, 8)
    assert sorted(top.titles[0, :5].tolist()) == [0, 1, 2, 3, 4]
    assert (top.titles[:, 5:] == -1).all()
    assert np.isneginf(top.scores[:, 5:]).all()


def test_everything_excluded_leaves_padding(model: Model[Any]) -> None:
    world = random_interactions(titles=5)
    everything = sparse.csr_array(np.ones((1, 5), np.float32))
    assert (model.fit(world).recommend(np.array([0]), 3, exclude=everything).titles == -1).all()


def test_unknown_members_get_the_popular_titles(model: Model[Any]) -> None:
    world = random_interactions()
    model.fit(world)
    played = (world.matrix.toarray() > 0).sum(axis=0)
    unknown = model.recommend(np.array([-1, 3, -1]), 5)
    assert np.isfinite(unknown.scores).all()
    np.testing.assert_array_equal(unknown.titles[0], unknown.titles[2])
    assert played[unknown.titles[0]].mean() > played.mean()
    assert_same_ranking(TopK(unknown.titles[1:2], unknown.scores[1:2]), model.recommend(np.array([3]), 5))
    nobody = world.select(np.array([-1]))
    np.testing.assert_array_equal(model.recommend_from(nobody, 5).titles[0], unknown.titles[0])


def test_no_members_at_all(model: Model[Any]) -> None:
    world = random_interactions()
    model.fit(world)
    assert model.recommend(np.array([], np.int64), 4).titles.shape == (0, 4)
    assert model.recommend_from(world.select(np.array([], np.int64)), 4).titles.shape == (0, 4)


def test_one_interaction_is_enough(model: Model[Any]) -> None:
    world = Interactions.from_columns(["m"], ["t"])
    assert model.fit(world).recommend(np.array([0]), 2).titles.tolist() == [[0, -1]]


def test_only_zero_weights_are_refused(model: Model[Any]) -> None:
    with pytest.raises(ModelError, match="above 0"):
        model.fit(Interactions.from_columns(["m"], ["t"], weight=[0.0]))


def test_zero_weight_teaches_nothing(model: Model[Any]) -> None:
    world = interactions_of(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]]))
    stored = Interactions.from_columns([*"aaabbbccc"], [*"012012012"], weight=[float(x) for x in world.matrix.toarray().ravel()])
    assert stored.matrix.nnz == 9
    expected = model.fit(world).recommend(np.arange(3), 3)
    np.testing.assert_allclose(model.fit(stored).recommend(np.arange(3), 3).scores, expected.scores, rtol=1e-5)


def test_wrong_requests_are_refused(model: Model[Any]) -> None:
    world = random_interactions()
    with pytest.raises(ModelError, match="not fitted"):
        model.recommend(np.array([0]), 1)
    with pytest.raises(ModelError, match="not fitted"):
        model.save("nowhere")
    model.fit(world)
    for members, k, exclude in (
        (np.array([60]), 1, None),
        (np.array([-2]), 1, None),
        (np.array([0.5]), 1, None),
        (np.array([0]), 0, None),
        (np.array([0]), 1, world.matrix),
    ):
        with pytest.raises(InputError):
            model.recommend(members, k, exclude)
    with pytest.raises(InputError, match="other titles"):
        model.recommend_from(random_interactions(titles=29), 1)


def test_progress_is_told(model: Model[Any]) -> None:
    passes: list[Pass] = []
    model.fit(random_interactions(), progress=passes.append)
    assert [each.number for each in passes] == list(range(1, len(passes) + 1)) != []
    assert all(each.number <= each.passes and each.left_s >= 0 for each in passes)


class Interrupted(Exception):
    pass


def test_an_interrupted_fit_goes_on_to_the_same_model(model: Model[Any], tmp_path: Path) -> None:
    world = random_interactions()
    whole: list[Pass] = []
    expected = model.fit(world, progress=whole.append).recommend(everyone(world), 8)
    if len(whole) == 1:
        pytest.skip("fits in one pass")

    def interrupt(done: Pass) -> None:
        if done.number == len(whole) // 2:
            raise Interrupted

    again = type(model)(model.settings)
    with pytest.raises(Interrupted):
        again.fit(world, interrupt, checkpoint_in(tmp_path, model))
    passes: list[Pass] = []
    resumed = type(model)(model.settings).fit(world, passes.append, checkpoint_in(tmp_path, model))
    assert passes[0].number == len(whole) // 2 + 1
    assert passes[0].fresh == 1
    assert_same_ranking(resumed.recommend(everyone(world), 8), expected)


def checkpoint_in(folder: Path, model: Model[Any]) -> CheckpointFolder:
    return CheckpointFolder(folder, model.name, "the same data and settings", every_s=0.0)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_unknown_and_ill_typed_settings_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"model '{name}': unknown setting 'colour'; known settings: "):
        create_model(name, colour="blue")
    numbers = {
        "blend": "depth",
        "ease": "regularisation",
        "graph": "rank",
        "ials": "factors",
        "popularity": "half_life_h",
        "sequence": "dim",
    }
    with pytest.raises(InputError, match=f"{numbers[name]} is 'many'"):
        create_model(name, **{numbers[name]: "many"})


def test_unknown_model_is_refused() -> None:
    with pytest.raises(MarqueeError, match=r"expected one of .*ials, popularity"):
        create_model("oracle")
