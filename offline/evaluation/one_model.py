"""Fits one model, ranks with it block after block, and keeps of the lists only what the metrics need."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from offline.evaluation.bootstrap import FloatArray
from offline.evaluation.exposure import Exposure
from offline.evaluation.metrics import CATALOGUE_METRICS, Background, Lists, Metric, member_values
from offline.evaluation.protocol import Task, ranked_blocks
from offline.evaluation.segments import Segment, relevant_in
from offline.interactions import Interactions
from offline.models import Model
from offline.progress import fit_progress

Say = Callable[[str], None]


class Asked(NamedTuple):
    """What is to be found out of each model; `title_segments` are those that limit which test titles count."""

    task: Task
    metrics: Sequence[Metric]
    known: Background
    title_segments: Sequence[Segment]
    seed: int

    @property
    def of_members(self) -> list[Metric]:
        """The metrics that have a value for each member."""
        return [metric for metric in self.metrics if not metric.of_catalogue]

    @property
    def of_hits(self) -> list[Metric]:
        """The metrics that say whether the right titles are on top."""
        return [metric for metric in self.metrics if metric.of_hits]


class Found(NamedTuple):
    """What one model gave.

    Attributes
    ----------
    values : `(members, metrics of members)`.
    in_titles : by name of a segment of titles, `(members, metrics of hits)`.
    catalogue : by metric of the catalogue, `(1 + resamples,)`: the figure, and that of each resample of the members.
    """

    fit_s: float
    fit_cpu_s: float
    rank_s: float
    values: FloatArray
    in_titles: dict[str, FloatArray]
    catalogue: dict[str, FloatArray]


def fit_and_rank(label: str, model: Model[Any], train: Interactions, asked: Asked, say: Say | None = None) -> Found:
    """Fit a model on train and rank all titles for the members of the task."""
    if say is not None:
        say(f"{label}: fitting on {train.matrix.nnz:,} entries of {train.matrix.shape[0]:,} members")
    began, cpu_began = time.perf_counter(), time.process_time()
    model.fit(train, progress=None if say is None else fit_progress(label, say))
    fitted, cpu_s = time.perf_counter(), time.process_time() - cpu_began
    if say is not None:
        say(f"{label}: fitted in {fitted - began:.1f} s; ranking for {len(asked.task.member_ids):,} members")
    values, in_titles, catalogue = _rank(model, asked)
    return Found(fitted - began, cpu_s, time.perf_counter() - fitted, values, in_titles, catalogue)


def _rank(model: Model[Any], asked: Asked) -> tuple[FloatArray, dict[str, FloatArray], dict[str, FloatArray]]:
    members, titles = len(asked.task.member_ids), len(asked.task.title_ids)
    values = np.empty((members, len(asked.of_members)))
    in_titles = {segment.name: np.empty((members, len(asked.of_hits))) for segment in asked.title_segments}
    cuts = {metric.k for metric in asked.metrics if metric.of_catalogue}
    exposures = {k: Exposure(titles, k, asked.seed) for k in cuts}
    depth = min(max(metric.k for metric in asked.metrics), titles)
    for rows, block, ranking in ranked_blocks(model, asked.task, depth):
        lists = Lists(ranking.titles, ranking.hits, block.relevant, block.histories.matrix)
        values[rows] = member_values(lists, asked.of_members, asked.known)
        for segment in asked.title_segments:
            in_titles[segment.name][rows] = member_values(_limited(lists, block, segment), asked.of_hits, asked.known)
        for exposure in exposures.values():
            exposure.add(ranking.titles)
    catalogue = {
        str(metric): CATALOGUE_METRICS[metric.name](exposures[metric.k]) for metric in asked.metrics if metric.of_catalogue
    }
    return values, in_titles, catalogue


def _limited(lists: Lists, block: Task, segment: Segment) -> Lists:
    """The same lists, of whose titles only those of a segment count as right."""
    assert segment.titles is not None
    return lists._replace(hits=lists.hits & segment.titles[lists.titles], relevant=relevant_in(block, segment))
