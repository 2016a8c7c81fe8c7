import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.evaluation.split import (
    by_time,
    earlier_half,
    earlier_part,
    leave_last_out,
    of_random_members,
    random_by_member,
    random_part,
)
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


def test_members_are_taken_whole_and_by_the_seed() -> None:
    members = np.repeat(np.arange(20), 3)
    chosen = of_random_members(members, 0.25, seed=1)
    assert np.bincount(members, chosen).tolist().count(3) == 5
    assert chosen.sum() == 15
    assert (chosen != of_random_members(members, 0.25, seed=2)).any()


def test_members_with_one_row_are_trained_on() -> None:
    members = np.array([0, 1, 1, 2])
    assert of_random_members(members, 0.9, seed=0).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("members", "message"), [([0, 1, 2], "a member with two"), ([0, 0], "nobody to train on")])
def test_members_that_cannot_be_split_are_refused(members: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        of_random_members(np.array(members), 0.5, seed=0)


def test_earlier_half_precedes_the_rest() -> None:
    members = np.array([0, 1, 0, 1, 0, 2, 1, 1])
    at_ms = np.array([9, 5, 3, 5, 4, 1, 5, 2])
    half = earlier_half(members, at_ms)
    assert half.tolist() == [False, True, True, False, True, True, False, True]
    for member in range(3):
        rows = members == member
        assert at_ms[rows & half].max() <= at_ms[rows & ~half].min(initial=99)


def test_share_of_a_member_is_rounded_up_but_leaves_what_it_is_told_to() -> None:
    members = np.repeat([0, 1, 2], [30, 5, 1])
    assert np.bincount(members, earlier_part(members, np.arange(36), 0.1)).tolist() == [3, 1, 1]
    assert np.bincount(members, earlier_part(members, np.arange(36), 0.99, leave=1)).tolist() == [29, 4, 0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.floats(0, 0.99), st.integers(0, 5))
def test_random_part_takes_as_many_as_the_earlier_part(members: list[int], share: float, seed: int) -> None:
    index = np.array(members)
    taken = random_part(index, share, seed, leave=1)
    expected = earlier_part(index, np.arange(len(index)), share, leave=1)
    np.testing.assert_array_equal(np.bincount(index, taken), np.bincount(index, expected))
