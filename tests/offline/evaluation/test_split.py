import numpy as np
import pytest

from offline.evaluation.split import by_time, earlier_half, leave_last_out, random_by_member, require_time_order
from shared.errors import InputError


def test_by_time_holds_out_the_newest() -> None:
    at_ms = np.random.default_rng(0).permutation(1000)
    held_out = by_time(at_ms, 0.1)
    assert held_out.sum() == 100
    assert at_ms[~held_out].max() < at_ms[held_out].min()


def test_by_time_keeps_rows_of_one_moment_together() -> None:
    held_out = by_time(np.array([1, 2, 3, 3, 3, 3]), 0.2)
    assert held_out.tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize(("at_ms", "share"), [([5, 5, 5], 0.2), ([1, 2], 0.0), ([1, 2], 1.0)])
def test_by_time_refuses_what_cannot_be_split(at_ms: list[int], share: float) -> None:
    with pytest.raises(InputError):
        by_time(np.array(at_ms), share)


def test_a_leak_is_refused_with_its_size() -> None:
    require_time_order(np.array([1, 2, 3]), np.array([3, 4]))
    with pytest.raises(
        InputError, match=r"2 training events are later than the earliest test event \(at_ms 3\), the latest by 6 ms"
    ):
        require_time_order(np.array([1, 5, 9]), np.array([3, 4]))
    with pytest.raises(InputError, match="one side is empty"):
        require_time_order(np.array([1]), np.array([], np.int64))


def test_random_takes_its_share_of_each_member() -> None:
    members = np.repeat([0, 1, 2, 3], [100, 8, 1, 2])
    held_out = random_by_member(members, 0.25, seed=1)
    assert np.bincount(members, held_out).tolist() == [25, 2, 0, 0]
    np.testing.assert_array_equal(held_out, random_by_member(members, 0.25, seed=1))
    assert (held_out != random_by_member(members, 0.25, seed=2)).any()


def test_leave_last_out_takes_the_latest_row() -> None:
    members = np.array([0, 1, 0, 1, 0, 2])
    at_ms = np.array([9, 5, 3, 5, 9, 1])
    assert leave_last_out(members, at_ms).tolist() == [False, False, False, True, True, False]


def test_earlier_half_precedes_the_rest() -> None:
    members = np.array([0, 1, 0, 1, 0, 2, 1, 1])
    at_ms = np.array([9, 5, 3, 5, 4, 1, 5, 2])
    half = earlier_half(members, at_ms)
    assert half.tolist() == [False, True, True, False, True, True, False, True]
    for member in range(3):
        rows = members == member
        assert at_ms[rows & half].max() <= at_ms[rows & ~half].min(initial=99)
