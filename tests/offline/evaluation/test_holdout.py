from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from offline.evaluation.holdout import Plan, save_split, split_rows
from offline.evaluation.leaks import Method, Split
from offline.interaction_files import read_interactions
from offline.interactions import InteractionRows
from shared.errors import InputError
from tests.offline.evaluation.test_leaks import METHODS, history


def pairs(rows: InteractionRows | None) -> list[tuple[str, str]]:
    return [] if rows is None else list(zip(rows.member_ids.to_pylist(), rows.title_ids.to_pylist(), strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_every_row_goes_to_one_part(method: Method) -> None:
    rows = history()
    made = split_rows(rows, Plan(method=method))
    assert sorted(pairs(made.train) + pairs(made.context) + pairs(made.test)) == sorted(pairs(rows))
    assert len(made.test) > 0


def test_time_takes_the_newest_with_the_earlier_of_each_member_as_context() -> None:
    made = split_rows(history(), Plan(method="time", test_share=0.5, context_share=0.5))
    assert made.context is not None
    assert len(made.train) == len(made.context) + len(made.test) == 48
    assert split_rows(history(), Plan(method="time", test_share=0.5)).context is None


def test_member_keeps_four_fifths_of_a_member_as_context() -> None:
    made = split_rows(history(each=10), Plan(method="member", test_share=0.25))
    assert made.context is not None
    assert (len(made.train), len(made.context), len(made.test)) == (90, 24, 6)
    without_times = split_rows(replace(history(each=10), at_ms=None), Plan(method="member", test_share=0.25))
    assert without_times.context is not None
    assert (len(without_times.context), len(without_times.test)) == (24, 6)


@pytest.mark.parametrize("method", ["leave-one-out", "member", "random"])
def test_rows_of_one_title_stay_together(method: Method) -> None:
    rows = InteractionRows(
        pa.array([*"aaabbbcc"]),
        pa.array([*"xyxxyzxy"]),
        weight=np.array([3, 1, 2, 1, 1, 1, 1, 1]),
        at_ms=np.array([1, 2, 3, 1, 2, 3, 1, 2]),
    )
    made = split_rows(rows, Plan(method=method, test_share=0.5))
    everything = pairs(made.train) + pairs(made.context) + pairs(made.test)
    assert sorted(everything) == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("b", "z"), ("c", "x"), ("c", "y")]
    if method == "leave-one-out":
        assert pairs(made.test) == [("a", "x"), ("b", "z"), ("c", "y")]
        assert made.test.weight is not None
        assert made.test.weight.tolist() == [3, 1, 1]  # a's x: the greatest weight, the latest time


@pytest.mark.parametrize("method", ["member", "random"])
def test_seed_decides(method: Method) -> None:
    one, same, other = (pairs(split_rows(history(), Plan(method=method, seed=seed)).test) for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize(
    ("rows", "plan", "message"),
    [
        (replace(history(), at_ms=None), Plan(method="time"), "needs the column at_ms"),
        (replace(history(), at_ms=None), Plan(method="leave-one-out"), "needs the column at_ms"),
        (history(each=1), Plan(method="leave-one-out"), "holds nothing out"),
        (history(each=2), Plan(method="random", test_share=0.1), "holds nothing out"),
        (history(each=1), Plan(method="member"), "a member with two interactions"),
        (history(), Plan(method="random", test_share=1.5), "share held out is 1.5"),
        (history(), Plan(method="random", context_share=0.5), "by time and by member only"),
        (history(each=1), Plan(method="time", context_share=0.5), "nothing left to find"),
    ],
)
def test_what_cannot_be_split_is_refused(rows: InteractionRows, plan: Plan, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_rows(rows, plan)


def test_saved_parts_are_read_back(tmp_path: Path) -> None:
    made = split_rows(history(), Plan(method="member"))
    save_split(made, tmp_path / "split")
    back = Split(*(read_interactions(tmp_path / "split" / f"{name}.parquet") for name in ("train", "context", "test")))
    for saved, expected in zip(back, made, strict=True):
        assert saved is not None
        assert expected is not None
        assert pairs(saved) == pairs(expected)
        np.testing.assert_array_equal(saved.at_ms, expected.at_ms)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_split(made, tmp_path / "file")
