"""The ranker's arrays at serving: equal to the plain formula, explained feature by feature, refused when they cannot be."""

from typing import Any

import numpy as np
import pytest

from shared.errors import SnapshotError
from shared.pages.features import FEATURES
from shared.pages.ranker import RANKER_FORMAT, Ranker, name_bytes

WIDTH = len(FEATURES)
Arrays = dict[str, np.ndarray[Any, Any]]


def arrays_of(*hidden: int, seed: int = 0) -> Arrays:
    """A random ranker's arrays, beside another array of the snapshot."""
    random = np.random.default_rng(seed)
    arrays: Arrays = {
        "popular": np.arange(3, dtype=np.int32),
        "ranker/format": np.array([RANKER_FORMAT], np.int32),
        "ranker/features": name_bytes(FEATURES),
        "ranker/means": random.standard_normal(WIDTH).astype(np.float32),
    }
    widths = (WIDTH, *hidden, 1)
    for number in range(1, len(widths)):
        shape = widths[number - 1], widths[number]
        arrays[f"ranker/weights_{number}"] = (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        arrays[f"ranker/bias_{number}"] = random.standard_normal(shape[1]).astype(np.float32)
    return arrays


def ranker_of(arrays: Arrays) -> Ranker:
    ranker = Ranker.of(arrays)
    assert ranker is not None
    return ranker


def some_features(count: int, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("hidden", [(), (5,), (16, 4)])
def test_scores_are_the_networks(hidden: tuple[int, ...]) -> None:
    arrays, features = arrays_of(*hidden), some_features(50)
    values = features.astype(np.float64)
    for number in range(1, len(hidden) + 2):
        values = values @ arrays[f"ranker/weights_{number}"] + arrays[f"ranker/bias_{number}"]
        if number <= len(hidden):
            values = values.clip(min=0)
    before = features.copy()
    found = ranker_of(arrays).scores(features)
    assert found.dtype == np.float32 and found.shape == (50,)
    assert np.allclose(found, 1 / (1 + np.exp(-values[:, 0])), rtol=1e-5)
    assert np.array_equal(features, before)
    assert np.allclose(ranker_of(arrays).scores(np.asfortranarray(features)), found, rtol=1e-5)


def test_scores_stay_within_0_and_1() -> None:
    extreme = ranker_of(arrays_of(8)).scores(np.float32(1e6) * some_features(200))
    assert 0.0 < extreme.min() < 1e-6 and 1 - 1e-6 < extreme.max() < 1.0
    assert len(ranker_of(arrays_of(8)).scores(some_features(0))) == 0


def test_a_linear_rankers_contributions_are_weight_times_distance_from_the_mean() -> None:
    arrays, row = arrays_of(), some_features(1)[0]
    found = ranker_of(arrays).contributions(row)
    expected = arrays["ranker/weights_1"][:, 0] * (row - arrays["ranker/means"])
    assert {each.feature: each.weight for each in found} == pytest.approx(
        dict(zip(FEATURES, expected.tolist(), strict=True)), abs=1e-4
    )
    assert [abs(each.weight) for each in found] == sorted((abs(each.weight) for each in found), reverse=True)
    assert found[0].value == row[FEATURES.index(found[0].feature)]


def test_a_feature_at_its_mean_contributes_nothing() -> None:
    arrays = arrays_of(8)
    found = ranker_of(arrays).contributions(arrays["ranker/means"])
    assert all(abs(each.weight) < 1e-5 for each in found)


def test_a_snapshot_without_a_ranker_has_none() -> None:
    assert Ranker.of({"popular": np.arange(3)}) is None


def changed(name: str, array: np.ndarray[Any, Any] | None) -> Arrays:
    arrays = arrays_of(4)
    if array is None:
        del arrays[f"ranker/{name}"]
    else:
        arrays[f"ranker/{name}"] = array
    return arrays


BROKEN = np.full((4, 1), np.nan, np.float32)


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("format", np.array([RANKER_FORMAT + 1]), f"format {RANKER_FORMAT + 1}; this code reads format {RANKER_FORMAT}"),
        ("format", None, "does not say its format"),
        ("format", np.array([1.5]), "does not say its format"),
        ("features", name_bytes(("age", *FEATURES[1:])), f"'age' as feature 0; this code has '{FEATURES[0]}' there"),
        ("features", name_bytes(FEATURES[:-1]), f"'nothing' as feature {WIDTH - 1}; this code has '{FEATURES[-1]}'"),
        ("features", name_bytes((*FEATURES, "mood")), f"'mood' as feature {WIDTH}; this code has 'nothing'"),
        ("features", None, "as feature 0"),
        ("means", None, "lacks the array ranker/means"),
        ("bias_1", None, "lacks the array ranker/bias_1"),
        ("means", np.zeros(3, np.float32), r"ranker/means is float32 of shape \(3,\)"),
        ("weights_1", np.zeros((WIDTH, 4)), "ranker/weights_1 is float64"),
        ("weights_1", np.zeros(4, np.float32), r"ranker/weights_1 is float32 of shape \(4,\)"),
        ("weights_2", BROKEN, "ranker/weights_2 has values that are no numbers"),
        ("weights_2", None, "its 1 layers end in 4 outputs; expected 1"),
    ],
)
def test_a_ranker_that_cannot_be_is_refused(name: str, array: np.ndarray[Any, Any] | None, said: str) -> None:
    with pytest.raises(SnapshotError, match=said):
        Ranker.of(changed(name, array))
