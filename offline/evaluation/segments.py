"""Parts of the test that are looked at on their own: members by activity, age and country; new titles."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from offline.evaluation.protocol import Task
from offline.interactions import BoolArray, Int64Array, Interactions
from shared.errors import InputError

DAY_MS = 86_400_000
AGES = ((7, "under a week"), (30, "a week to a month"), (180, "one to six months"), (np.inf, "over six months"))
COUNTRIES = 10  # the largest; the others are taken together
FEW_MEMBERS = 5  # a title that fewer have is new …
NEWEST_SHARE = 0.1  # … and so is one that nobody had before this newest share of the training events

OF_TITLES = "titles"
"""The kind whose segments are of titles and not of members."""


class Segment(NamedTuple):
    """Some members, `(members,)`, or where `titles`, `(titles,)`, is given, only those of the test titles, for all members."""

    name: str
    members: BoolArray
    titles: BoolArray | None = None
    holds_unknown: bool = False  # whether test titles that training does not know belong to `titles`


def find_segments(names: Sequence[str], task: Task, train: Interactions) -> dict[str, list[Segment]]:
    """The segments of some kinds. A kind that tells nothing apart on this data has none.

    activity    terciles of the number of titles in the member's history
    age         time from the first event of the member's history to the newest event known of anybody
    country     the ten largest, the others, and where it is not known
    titles      new titles, which fewer than five members have in train or nobody had before its newest tenth of events, and
                established ones. Only these count as right, as if the test held no others; all titles are ranked.

    Raises
    ------
    InputError : there is no such kind.
    """
    for name in names:
        if name not in KINDS:
            raise InputError(f"unknown segments {name!r}; expected some of {', '.join(KINDS)}")
    found = {name: [part for part in KINDS[name](task, train) if part.members.any()] for name in dict.fromkeys(names)}
    return {name: parts for name, parts in found.items() if len(parts) > 1}


def _by_activity(task: Task, train: Interactions) -> list[Segment]:
    length = np.diff(task.histories.matrix.indptr)
    parts = [Segment("no history", length == 0)]
    if not task.has_history.any():
        return parts
    low = 1
    for high in np.unique(np.quantile(length[length > 0], [1 / 3, 2 / 3, 1], method="lower")).tolist():
        name = f"{low:,} titles" if low == high else f"{low:,} to {high:,} titles"
        parts.append(Segment(name, (length >= low) & (length <= high)))
        low = high + 1
    return parts


def _by_age(task: Task, train: Interactions) -> list[Segment]:
    at_ms, indptr = task.histories.at_ms, task.histories.matrix.indptr
    if at_ms is None or train.at_ms is None or not at_ms.size:
        return []
    known = task.has_history
    now_ms = max(int(at_ms.max()), int(train.at_ms.max()))
    days = np.full(len(known), -1.0)  # (members,)
    days[known] = (now_ms - np.minimum.reduceat(at_ms, indptr[:-1][known])) / DAY_MS
    parts, least = [Segment("no history", ~known)], 0.0
    for most, name in AGES:
        parts.append(Segment(name, (days >= least) & (days < most)))
        least = most
    return parts


def _by_country(task: Task, train: Interactions) -> list[Segment]:
    country = task.histories.country
    if country is None:
        return []
    unknown = np.array([code is None for code in country], np.bool_)
    codes, which, counts = np.unique(country[~unknown].astype(str), return_inverse=True, return_counts=True)
    index = np.full(len(country), -1)  # (members,)
    index[~unknown] = which
    largest = np.argsort(-counts, kind="stable")[:COUNTRIES]
    parts = [Segment(str(codes[place]), index == place) for place in largest]
    others = (index >= 0) & ~np.isin(index, largest)
    return [*parts, Segment("other countries", others), Segment("country not known", unknown)]


def _by_title(task: Task, train: Interactions) -> list[Segment]:
    indices, titles = train.matrix.indices, len(train.title_ids)
    new = np.bincount(indices, minlength=titles) < FEW_MEMBERS
    if train.at_ms is not None:
        first_ms = np.full(titles, np.iinfo(np.int64).max)
        np.minimum.at(first_ms, indices, train.at_ms)
        new |= first_ms > np.quantile(train.at_ms, 1 - NEWEST_SHARE)
    everybody = np.ones(len(task.member_ids), np.bool_)
    parts = [Segment("new titles", everybody, new, holds_unknown=True), Segment("established titles", everybody, ~new)]
    return [part._replace(members=relevant_in(task, part) > 0) for part in parts]


def relevant_in(task: Task, segment: Segment) -> Int64Array:
    """`(members,)` how many test titles each member has in a segment of titles."""
    assert segment.titles is not None
    inside = segment.titles[task.test.matrix.indices]
    count = np.bincount(task.test.entry_members[inside], minlength=len(task.member_ids))
    unknown = task.relevant - np.diff(task.test.matrix.indptr) if segment.holds_unknown else 0
    return (count + unknown).astype(np.int64)


KINDS: dict[str, Callable[[Task, Interactions], list[Segment]]] = {
    "activity": _by_activity,
    "age": _by_age,
    "country": _by_country,
    OF_TITLES: _by_title,
}
