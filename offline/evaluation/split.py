"""Which interactions are held out: split by time, at random within each member, or the last one of each member.

Each function takes columns of rows and returns a mask, `(rows,)`, true for the rows held out.
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
    require_time_order(at_ms[~held_out], at_ms[held_out])
    return held_out


def require_time_order(train_at_ms: Int64Array, test_at_ms: Int64Array) -> None:
    """Refuse a split by time in which training could see what comes after the first test event.

    Raises
    ------
    InputError : a training event is later than the earliest test event; says by how much.
    """
    if not train_at_ms.size or not test_at_ms.size:
        raise InputError("a split by time needs events on both sides; one side is empty")
    latest, earliest = int(train_at_ms.max()), int(test_at_ms.min())
    if latest > earliest:
        late = int(np.count_nonzero(train_at_ms > earliest))
        raise InputError(
            f"the split leaks: {late} training events are later than the earliest test event (at_ms {earliest}), "
            f"the latest by {latest - earliest} ms"
        )


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


def earlier_half(member_index: npt.NDArray[np.integer[Any]], at_ms: Int64Array) -> BoolArray:
    """Mark the earlier half of each member's rows, rounded up (of several at one time, those first in the file).

    Of rows held out by time they serve as context: what nearline has seen of a member by the time a page is asked for,
    though training, which ended before, has not. What remains to be found is later still.
    """
    place, length = _place_in_member(np.lexsort((at_ms, member_index)), member_index)
    mask: BoolArray = place < length / 2
    return mask


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
