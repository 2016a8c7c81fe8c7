"""Has a fitted model rank the whole catalogue for the members of a test set, and marks the hits.

The rules, which are those of the published tables: every title of the model is ranked; what the member has in train or
context is left out unless asked otherwise, and is then no test title either; a test title that the model does not know
counts as a miss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from offline.evaluation.ranking import find_hits
from offline.interactions import BoolArray, Ids, Int64Array, Interactions, id_array, index_of
from offline.models import Model
from offline.models.topk import Exclude
from shared.errors import InputError

BLOCK_CELLS = 4_000_000  # members x depth ranked at a time


@dataclass(frozen=True)
class Task:
    """What a test asks of every model: for which members, from which history, to find which titles.

    Attributes
    ----------
    member_ids : `(members,)` members with at least one test title.
    trained : `(members,)` their index in the training data, -1 where they are not in it.
    histories : one row a member over the trained titles: train and context together.
    has_context : `(members,)` whether the context says something that training did not see.
    test : the test titles that training knows, one row a member.
    relevant : `(members,)` all test titles, unknown ones included.
    keep_seen : whether titles of the history may be recommended.
    """

    member_ids: Ids
    title_ids: Ids
    trained: Int64Array
    histories: Interactions
    has_context: BoolArray
    test: Interactions
    relevant: Int64Array
    keep_seen: bool

    def block(self, rows: slice) -> "Task":
        """The same task for some of the members."""
        chosen = np.arange(len(self.member_ids))[rows]
        return Task(
            member_ids=self.member_ids[rows],
            title_ids=self.title_ids,
            trained=self.trained[rows],
            histories=self.histories.select(chosen),
            has_context=self.has_context[rows],
            test=self.test.select(chosen),
            relevant=self.relevant[rows],
            keep_seen=self.keep_seen,
        )

    @property
    def has_history(self) -> BoolArray:
        """`(members,)` whether anything is known of the member when recommending."""
        known: BoolArray = np.diff(self.histories.matrix.indptr) > 0
        return known

    @property
    def unknown_titles(self) -> int:
        """Test titles that training does not know, counted once a member."""
        return int(self.relevant.sum()) - self.test.matrix.nnz


@dataclass(frozen=True)
class Ranking:
    """`titles` is `(members, depth)` int32, best first, -1 where a list is shorter; `hits` marks the test titles."""

    titles: npt.NDArray[np.int32]
    hits: BoolArray


def prepare(train: Interactions, test: Interactions, context: Interactions | None, keep_seen: bool) -> Task:
    """Lay out a test against training data.

    Raises
    ------
    InputError : no test title is left that the members have not seen, or none of those left is ranked.
    """
    members = test.member_ids
    trained = index_of(members, train.member_ids)
    histories, has_context = _histories(train, context, members, trained)
    wanted = test.where(test.matrix.data > 0)  # a title seen without interest is nothing to find
    if not keep_seen:
        wanted = _without_seen(wanted, [train] if context is None else [train, context])
    relevant = np.diff(wanted.matrix.indptr).astype(np.int64)
    known = wanted.on_titles(train.title_ids)
    asked = np.flatnonzero(relevant > 0)
    if not asked.size:
        raise InputError("no member of the test set has a title there that is not in its history already")
    if not known.matrix.nnz:
        raise InputError("none of the titles to be found is among those of training, which are the ones that are ranked")
    return Task(
        member_ids=members[asked],
        title_ids=train.title_ids,
        trained=trained[asked],
        histories=histories.select(asked),
        has_context=has_context[asked],
        test=known.select(asked),
        relevant=relevant[asked],
        keep_seen=keep_seen,
    )


def ranked_blocks(model: Model[Any], task: Task, depth: int) -> Iterator[tuple[slice, Task, Ranking]]:
    """Rank for all members of a task, block after block, so that memory does not grow with members x depth."""
    members = len(task.member_ids)
    step = max(1, BLOCK_CELLS // max(1, depth))
    for start in range(0, members, step):
        rows = slice(start, min(members, start + step))
        block = task.block(rows)
        yield rows, block, rank(model, block, depth)


def rank(model: Model[Any], task: Task, depth: int) -> Ranking:
    """Rank for every member of a task: from context where there is any, else as the model was fitted."""
    titles = np.full((len(task.member_ids), depth), -1, np.int32)
    for folded in (False, True):
        rows = np.flatnonzero(task.has_context == folded)
        if not rows.size:
            continue
        histories = task.histories.select(rows)
        exclude: Exclude = None if task.keep_seen else histories.matrix
        if folded:
            titles[rows] = model.recommend_from(histories, depth, exclude).titles
        else:
            titles[rows] = model.recommend(task.trained[rows], depth, exclude).titles
    return Ranking(titles, find_hits(titles, task.test.matrix))


def _histories(
    train: Interactions, context: Interactions | None, members: Ids, trained: Int64Array
) -> tuple[Interactions, BoolArray]:
    histories = train.select(trained)
    if context is None:
        return histories, np.zeros(len(members), np.bool_)
    added = context.on_titles(train.title_ids).select(index_of(members, context.member_ids))
    merged = replace(histories.merged_with(added), country=_first_known(histories.country, added.country))
    return merged, np.diff(added.matrix.indptr) > 0


def _first_known(country: Ids | None, other: Ids | None) -> Ids | None:
    if country is None or other is None:
        return other if country is None else country
    return id_array([second if first is None else first for first, second in zip(country, other, strict=True)])


def _without_seen(test: Interactions, histories: Sequence[Interactions]) -> Interactions:
    """Without the test titles that are in any of the histories, which may be of other members and titles."""
    width = len(test.title_ids)
    seen = np.zeros(test.matrix.nnz, np.bool_)
    for history in histories:
        rows = history.select(index_of(test.member_ids, history.member_ids))
        column = index_of(rows.title_ids, test.title_ids)[rows.matrix.indices]  # (entries,)
        cells = rows.entry_members * width + column
        seen |= np.isin(test.entry_members * width + test.matrix.indices, cells[column >= 0])
    return test.where(~seen)
