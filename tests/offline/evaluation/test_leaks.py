"""In each kind of split a leak is planted, which its guard must catch."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from offline.evaluation.holdout import Plan, split_rows
from offline.evaluation.leaks import Method, Split, require_no_leak, require_time_order
from offline.interactions import InteractionRows
from shared.errors import InputError

METHODS: tuple[Method, ...] = ("time", "leave-one-out", "member", "random")


def history(members: int = 12, titles: int = 20, each: int = 8) -> InteractionRows:
    random = np.random.default_rng(3)
    chosen = np.concatenate([random.permutation(titles)[:each] for _ in range(members)])
    return InteractionRows(
        pa.array([f"m{i // each}" for i in range(members * each)]),
        pa.array([f"t{title}" for title in chosen]),
        at_ms=random.permutation(members * each).astype(np.int64),
    )


def split(method: Method) -> Split:
    return split_rows(history(), Plan(method=method, context_share=0.5 if method in ("time", "member") else None))


def joined(rows: InteractionRows, other: InteractionRows) -> InteractionRows:
    assert rows.at_ms is not None
    assert other.at_ms is not None
    return InteractionRows(
        pa.concat_arrays([rows.member_ids, other.member_ids]),
        pa.concat_arrays([rows.title_ids, other.title_ids]),
        at_ms=np.concatenate([rows.at_ms, other.at_ms]),
    )


def first(rows: InteractionRows) -> InteractionRows:
    return rows.where(np.arange(len(rows)) == 0)


def shifted(rows: InteractionRows, by: int) -> InteractionRows:
    assert rows.at_ms is not None
    return replace(rows, at_ms=rows.at_ms + by)


@pytest.mark.parametrize("method", METHODS)
def test_a_split_as_made_is_let_through(method: Method) -> None:
    require_no_leak(split(method), method)


@pytest.mark.parametrize("method", METHODS)
def test_a_test_row_among_the_training_data_is_caught(method: Method) -> None:
    made = split(method)
    newest = made.test.where(made.test.at_ms == made.test.at_ms.max())  # type: ignore[union-attr]
    with pytest.raises(InputError, match="the split leaks: "):
        require_no_leak(made._replace(train=joined(made.train, newest)), method)


@pytest.mark.parametrize("method", ["leave-one-out", "member", "random"])
def test_a_test_row_in_the_context_is_caught(method: Method) -> None:
    made = split(method)
    context = first(made.test) if made.context is None else joined(made.context, first(made.test))
    with pytest.raises(InputError, match="the split leaks: 1 test interactions are known when recommending, such as member 'm"):
        require_no_leak(made._replace(context=context), method)


@pytest.mark.parametrize("method", ["time", "member"])
def test_context_later_than_its_members_test_is_caught(method: Method) -> None:
    made = split(method)
    assert made.context is not None
    with pytest.raises(InputError, match="test interactions are earlier than something known of the same member"):
        require_no_leak(made._replace(context=shifted(made.context, 1000)), method)


def test_another_row_of_a_member_of_the_test_is_caught() -> None:
    made = split("member")
    other_title = replace(first(made.test), title_ids=pa.array(["t99"]))
    with pytest.raises(InputError, match=r"interactions held out are of members that are trained on, such as member 'm\d+'"):
        require_no_leak(made._replace(train=joined(made.train, other_title)), "member")


def test_an_earlier_title_in_place_of_the_last_is_caught() -> None:
    made = split("leave-one-out")
    with pytest.raises(InputError, match="earlier than something known"):
        require_no_leak(made._replace(train=shifted(made.train, 1000)), "leave-one-out")


def test_two_titles_of_a_member_are_no_leave_one_out() -> None:
    made = split("leave-one-out")
    more = joined(made.test, replace(shifted(first(made.test), 1), title_ids=pa.array(["t99"])))
    with pytest.raises(InputError, match="2 of member 'm0' are held out"):
        require_no_leak(made._replace(test=more), "leave-one-out")


def test_a_leak_in_time_is_refused_with_its_size() -> None:
    require_time_order(np.array([1, 2, 3]), np.array([3, 4]))
    with pytest.raises(
        InputError, match=r"2 training events are later than the earliest test event \(at_ms 3\), the latest by 6 ms"
    ):
        require_time_order(np.array([1, 5, 9]), np.array([3, 4]))
    with pytest.raises(InputError, match="one side is empty"):
        require_time_order(np.array([1]), np.array([], np.int64))


@pytest.mark.parametrize("method", ["time", "leave-one-out"])
def test_times_that_are_missing_are_told(method: Method) -> None:
    made = split(method)
    with pytest.raises(InputError, match="needs the times of the interactions"):
        require_no_leak(made._replace(test=replace(made.test, at_ms=None)), method)
