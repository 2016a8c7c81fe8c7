"""Guards against leaks: each way to split has one, which refuses a split in which training or context knows the answer.

They look at the parts alone, whoever made them: `offline.evaluation.holdout` calls them on what it has split, and the command
line on files that were split elsewhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from offline.interactions import BoolArray, Int64Array, InteractionRows
from shared.errors import InputError

Method = Literal["time", "leave-one-out", "member", "random"]


class Split(NamedTuple):
    """What is trained on, what is known besides when recommending, and what is to be found."""

    train: InteractionRows
    context: InteractionRows | None
    test: InteractionRows


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


def require_no_leak(split: Split, method: Method) -> None:
    """Refuse a split that is none of the kind it is said to be.

    time            nothing trained on is later than anything held out, and no member's context later than its test
    leave-one-out   one test row a member, not among its others, none of which is later
    member          nobody of the test is trained on; the context has none of the test's rows, and where there are times, none
                    later than them
    random          no member has a title both in the test and in train or context

    Raises
    ------
    InputError : the split leaks; names what, how often, and an example.
    """
    _GUARDS[method](split)


def _by_time(split: Split) -> None:
    held_out = [split.test] if split.context is None else [split.context, split.test]
    require_time_order(_times(split.train, "time"), np.concatenate([_times(rows, "time") for rows in held_out]))
    if split.context is not None:
        _require_members_order([split.context], split.test)


def _leave_one_out(split: Split) -> None:
    _require_other_pairs(split)
    [members] = _codes([split.test.member_ids])
    often = np.bincount(members)
    if often.max() > 1:
        example = split.test.member_ids[int(np.argmax(often[members] > 1))]
        raise InputError(
            f"leave-one-out holds out one interaction a member; {often.max()} of member {str(example)!r} are held out"
        )
    _require_members_order(_known(split), split.test)


def _by_member(split: Split) -> None:
    held_out = [split.test] if split.context is None else [split.context, split.test]
    trained, *others = _codes([rows.member_ids for rows in (split.train, *held_out)])
    for rows, members in zip(held_out, others, strict=True):
        _refuse(np.isin(members, trained), rows, "interactions held out are of members that are trained on")
    if split.context is not None:
        _require_other_pairs(split._replace(train=split.context, context=None))
        if split.context.at_ms is not None and split.test.at_ms is not None:
            _require_members_order([split.context], split.test)


def _require_other_pairs(split: Split) -> None:
    """Refuse test rows whose member has the title in train or context, too."""
    parts = [*_known(split), split.test]
    members, titles = _codes([rows.member_ids for rows in parts]), _codes([rows.title_ids for rows in parts])
    width = 1 + max(int(codes.max()) for codes in titles)
    cells = [member * width + title for member, title in zip(members, titles, strict=True)]
    _refuse(np.isin(cells[-1], np.concatenate(cells[:-1])), split.test, "test interactions are known when recommending")


def _require_members_order(known: Sequence[InteractionRows], test: InteractionRows) -> None:
    """Refuse test rows earlier than something that is known of the same member."""
    *before, tested = _codes([rows.member_ids for rows in (*known, test)])
    latest = np.full(1 + max(int(codes.max()) for codes in (*before, tested)), np.iinfo(np.int64).min)
    for rows, members in zip(known, before, strict=True):
        np.maximum.at(latest, members, _times(rows, "leave-one-out"))
    late = _times(test, "leave-one-out") < latest[tested]
    _refuse(late, test, "test interactions are earlier than something known of the same member")


def _refuse(leaking: BoolArray, rows: InteractionRows, what: str) -> None:
    if leaking.any():
        row = int(np.argmax(leaking))
        raise InputError(
            f"the split leaks: {np.count_nonzero(leaking)} {what}, such as member {str(rows.member_ids[row])!r} "
            f"with title {str(rows.title_ids[row])!r}"
        )


def _known(split: Split) -> list[InteractionRows]:
    return [split.train] if split.context is None else [split.train, split.context]


def _times(rows: InteractionRows, method: str) -> Int64Array:
    if rows.at_ms is None:
        raise InputError(f"{rows.source}: a split by {method} needs the times of the interactions (at_ms), which are not given")
    return rows.at_ms


def _codes(columns: Sequence[Any]) -> list[npt.NDArray[np.int64]]:
    """Number the strings of several columns alike."""
    codes = pa.concat_arrays(columns).dictionary_encode().indices.to_numpy().astype(np.int64)
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1])


_GUARDS: dict[Method, Callable[[Split], None]] = {
    "time": _by_time,
    "leave-one-out": _leave_one_out,
    "member": _by_member,
    "random": _require_other_pairs,
}
