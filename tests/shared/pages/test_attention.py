"""The browse model: where attention falls, and how its parameters travel in a snapshot."""

import re

import numpy as np
import pytest

from infra.demo.pages import examination
from shared.config import DeviceFormat
from shared.errors import SnapshotError
from shared.pages.attention import ARRAY, BrowseModel

DEVICE = DeviceFormat(rows=6, row_length=8, visible_rows=2, visible_cells=3)


def test_attention_falls_down_and_right_and_once_more_beyond_the_first_screen() -> None:
    seen = BrowseModel(first=0.8, down_rate=0.0, right_rate=0.0, scroll=0.5, swipe=0.25).on(DEVICE)
    assert seen.down.tolist() == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.4, 0.4])
    assert seen.right.tolist() == [1.0, 1.0, 1.0, 0.25, 0.25, 0.25, 0.25, 0.25]
    assert seen.matrix.shape == (6, 8) and seen.matrix[5, 7] == pytest.approx(0.1)
    falling = BrowseModel().on(DEVICE)
    assert (np.diff(falling.down) < 0).all() and (np.diff(falling.right) < 0).all()


def test_the_simulated_members_can_be_described() -> None:
    chances = examination()
    rows, row_length = chances.shape
    model = BrowseModel(first=0.95, down_rate=0.0, down_power=0.45, right_rate=0.0, right_power=0.55, scroll=1.0, swipe=1.0)
    assert np.allclose(model.on(DeviceFormat(rows=rows, row_length=row_length)).matrix, chances, atol=1e-6)


def test_parameters_travel_in_a_snapshot() -> None:
    model = BrowseModel(first=0.5, down_power=2.0, swipe=0.125)
    assert BrowseModel.from_arrays({ARRAY: model.to_array()}, "v1").on(DEVICE).matrix == pytest.approx(model.on(DEVICE).matrix)
    assert BrowseModel.from_arrays({}, "v1") == BrowseModel()


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.ones(3, dtype=np.float32), "snapshot 'v1': attention is float32 of shape (3,); 7 floats are expected"),
        (np.ones(7, dtype=np.int32), "attention is int32 of shape (7,); 7 floats are expected"),
        (np.array([0, 0, 0, 0, 0, 1, 1], dtype=np.float32), "attention: first is 0.0; a chance above 0 and up to 1"),
        (np.array([1, -1, 0, 0, 0, 1, 1], dtype=np.float32), "attention: down_rate is -1.0; a finite number"),
        (np.array([1, 0, np.nan, 0, 0, 1, 1], dtype=np.float32), "attention: down_power is nan; a finite number"),
    ],
)
def test_parameters_that_cannot_be_are_refused(array: np.ndarray, sentence: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(SnapshotError, match=re.escape(sentence)):
        BrowseModel.from_arrays({ARRAY: array}, "v1")
