"""Which interactions are held out: the newest, a random share, each member's last, or those of some members.

Each function takes columns of rows and returns a mask, `(rows,)`; `offline.evaluation.holdout` makes whole splits of them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from offline.interactions import BoolArray, Int64Array
from shared.errors import InputError


def by_time(at_ms: Int64Array, test_share: float) -> BoolArray:
    """Hold out the newest share of all rows: whatever happened at or after one moment, the same for every member.

    Rows of the same time fall on the same side, so that the share held out can be a little greater than asked for.

    Raises
    ------
    InputError : the share is not between 0 and 1, or all rows have one time, so that nothing would be left to train on.
    """
    _check_share(test_share)
    newest_first = np.sort(at_ms)[::-1]
    cut_ms = newest_first[max(1, round(test_share * len(at_ms))) - 1]
    held_out: BoolArray = at_ms >= cut_ms
    if held_out.all():
        raise InputError(
            f"splitting by time leaves nothing to train on: the newest {test_share:.0%} reach back to the first interaction"
        )
    return held_out


def random_by_member(member_index: npt.NDArray[np.integer[Any]], test_share: float, seed: int) -> BoolArray:
    """Hold out a random share of each member's rows, rounded to whole rows; a member with one row keeps it."""
    _check_share(test_share)
    noise = np.random.default_rng(seed).random(len(member_index))
    place, length = _place_in_member(np.lexsort((noise, member_index)), member_index)
    held_out = np.minimum(np.round(test_share * length), length - 1)
    mask: BoolArray = place < held_out
    return mask


def leave_last_out(member_index: npt.NDArray[np.integer[Any]], at_ms: Int64Array) -> BoolArray:
    """Hold out each member's latest row (of several at one time, the last in the file); a member with one row keeps it."""
    newest_first = np.lexsort((-np.arange(len(at_ms)), -at_ms, member_index))
    place, length = _place_in_member(newest_first, member_index)
    mask: BoolArray = (place == 0) & (length > 1)
    return mask


def of_random_members(member_index: npt.NDArray[np.integer[Any]], test_share: float, seed: int) -> BoolArray:
    """Mark all rows of a random share of the members, at least one; members with one row are never among them.

    Raises
    ------
    InputError : no member has two rows, or none would be left to train on.
    """
    _check_share(test_share)
    able = np.flatnonzero(np.bincount(member_index) > 1)
    if not able.size:
        raise InputError("a split by member needs a member with two interactions: one to know, one to find")
    chosen = np.random.default_rng(seed).permutation(able)[: max(1, round(test_share * len(able)))]
    mask: BoolArray = np.isin(member_index, chosen)
    if mask.all():
        raise InputError(
            f"splitting by member leaves nobody to train on: {test_share:.0%} of {len(able)} members are all of them"
        )
    return mask


def earlier_half(member_index: npt.NDArray[np.integer[Any]], at_ms: Int64Array) -> BoolArray:
    """Mark the earlier half of each member's rows, rounded up (of several at one time, those first in the file).

    Of rows held out by time they serve as context: what nearline has seen of a member by the time a page is asked for,
    though training, which ended before, has not. What remains to be found is later still.
    """
    return earlier_part(member_index, at_ms, 0.5)


def earlier_part(member_index: npt.NDArray[np.integer[Any]], at_ms: Int64Array, share: float, *, leave: int = 0) -> BoolArray:
    """Mark the earlier share of each member's rows, rounded up, but for its last `leave` rows."""
    place, length = _place_in_member(np.lexsort((at_ms, member_index)), member_index)
    known = np.ceil(np.round(share * length, 6))  # 0.1 x 30 is a little more than 3 in floating point
    mask: BoolArray = place < np.minimum(known, length - leave)
    return mask


def random_part(member_index: npt.NDArray[np.integer[Any]], share: float, seed: int, *, leave: int = 0) -> BoolArray:
    """Mark a random share of each member's rows as `earlier_part` does, for rows without times."""
    return earlier_part(member_index, np.random.default_rng(seed).permutation(len(member_index)), share, leave=leave)


def _place_in_member(order: npt.NDArray[np.intp], member_index: npt.NDArray[np.integer[Any]]) -> tuple[Int64Array, Int64Array]:
    """For each row, its place (from 0) among its member's rows in the given order, and how many those are."""
    length = np.bincount(member_index)
    start = np.concatenate([[0], np.cumsum(length)[:-1]])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - start[member_index[order]]
    return place, length[member_index]


def _check_share(test_share: float) -> None:
    if not 0 < test_share < 1:
        raise InputError(f"the share held out is {test_share}; expected between 0 and 1, both excluded")
