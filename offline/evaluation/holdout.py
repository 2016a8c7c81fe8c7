"""Splits one set of interactions into train, context and test, by one of four methods, each checked for leaks."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from offline.evaluation import split as masks
from offline.evaluation.leaks import Method, Split, require_no_leak
from offline.interaction_files import write_interactions
from offline.interactions import Int64Array, InteractionRows
from shared.errors import InputError


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to split.

    Attributes
    ----------
    test_share : the newest share of all rows (time), of the members (member), or of each member's titles (random).
    context_share : of each member's rows held out by time or by member, the earlier share that is known when recommending.
        None: none of them by time, four fifths by member (the fold-in of Liang et al. 2018, "Variational autoencoders for
        collaborative filtering").
    seed : of the splits at random.
    """

    method: Method
    test_share: float = 0.2
    context_share: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    seed: int = 0

    def __str__(self) -> str:
        held_out = _percent(self.test_share)
        if self.method == "time":
            known = f", the earlier {_percent(self.context_share)} of each member's known" if self.context_share else ""
            return f"split by time: the newest {held_out} held out{known}"
        if self.method == "leave-one-out":
            return "leave-one-out: each member's last title held out"
        if self.method == "member":
            return f"split by member: {held_out} not trained on, {_percent(self.fold_in_share)} of each one's titles known"
        return f"random split: {held_out} of each member's titles held out (seed {self.seed})"

    @property
    def fold_in_share(self) -> float:
        """The share of a member's titles that is known in a split by member."""
        return 0.8 if self.context_share is None else self.context_share


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def split_rows(rows: InteractionRows, plan: Plan) -> Split:
    """Split, and check what came out.

    Splits other than by time keep all rows of a member and title together: only the latest is kept, with the greatest weight.

    Raises
    ------
    InputError : the rows cannot be split so: no times, too few rows, a share that cannot be.
    """
    if plan.context_share is not None and plan.method not in ("time", "member"):
        raise InputError(f"a context is taken out of splits by time and by member only; this one is {plan.method}")
    made = _by_time(rows, plan) if plan.method == "time" else _by_title(_latest_of_each_title(rows), plan)
    require_no_leak(made, plan.method)
    return made


def save_split(made: Split, folder: Path) -> None:
    """Write the parts as Parquet files that `--train`, `--context` and `--test` take.

    Raises
    ------
    InputError : the folder cannot be written.
    """
    for name, rows in zip(("train", "context", "test"), made, strict=True):
        if rows is not None:
            write_interactions(folder / f"{name}.parquet", rows)


def _by_time(rows: InteractionRows, plan: Plan) -> Split:
    held_out = masks.by_time(_times(rows, plan), plan.test_share)
    train, later = rows.where(~held_out), rows.where(held_out)
    if not plan.context_share:
        return Split(train, None, later)
    known = masks.earlier_part(_members(later), _times(later, plan), plan.context_share)
    return _parted(train, later, known)


def _by_title(rows: InteractionRows, plan: Plan) -> Split:
    members = _members(rows)
    if plan.method == "member":
        chosen = masks.of_random_members(members, plan.test_share, plan.seed)
        train, others = rows.where(~chosen), rows.where(chosen)
        share, of = plan.fold_in_share, _members(others)
        if others.at_ms is None:
            return _parted(train, others, masks.random_part(of, share, plan.seed, leave=1))
        return _parted(train, others, masks.earlier_part(of, others.at_ms, share, leave=1))
    if plan.method == "leave-one-out":
        held_out = masks.leave_last_out(members, _times(rows, plan))
    else:
        held_out = masks.random_by_member(members, plan.test_share, plan.seed)
    if not held_out.any():
        raise InputError(f"{rows.source}: the split holds nothing out; no member has enough titles for {plan}")
    return Split(rows.where(~held_out), None, rows.where(held_out))


def _parted(train: InteractionRows, held_out: InteractionRows, known: npt.NDArray[np.bool_]) -> Split:
    if known.all():
        raise InputError(f"{held_out.source}: all that is held out would be known when recommending, and nothing left to find")
    return Split(train, held_out.where(known) if known.any() else None, held_out.where(~known))


def _latest_of_each_title(rows: InteractionRows) -> InteractionRows:
    """One row a member and title, with the greatest weight: what `Interactions.from_rows` makes of several."""
    members, titles = _members(rows), _codes(rows.title_ids)
    cell = members * (1 + int(titles.max())) + titles
    at_ms = np.zeros(len(rows), np.int64) if rows.at_ms is None else rows.at_ms
    order = np.lexsort((np.arange(len(rows)), at_ms, cell))
    first = np.flatnonzero(np.diff(cell[order], prepend=-1))
    if len(first) == len(rows):
        return rows
    latest = order[np.append(first[1:], len(rows)) - 1]  # (pairs,) the last row of each run
    keep = np.zeros(len(rows), np.bool_)
    keep[latest] = True
    kept = rows.where(keep)
    if rows.weight is None:
        return kept
    greatest = np.empty(len(rows), np.float32)
    greatest[latest] = np.maximum.reduceat(rows.weight[order], first)
    return replace(kept, weight=greatest[keep])


def _times(rows: InteractionRows, plan: Plan) -> Int64Array:
    if rows.at_ms is None:
        raise InputError(f"{rows.source}: the split {plan.method!r} needs the column at_ms, which is not there")
    return rows.at_ms


def _members(rows: InteractionRows) -> npt.NDArray[np.int64]:
    return _codes(rows.member_ids)


def _codes(column: Any) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = column.dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes
