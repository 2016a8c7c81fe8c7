"""Fits models, evaluates them on one test side by side, and reports figures, intervals and the lift over a baseline."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from offline.evaluation.bootstrap import Estimate
from offline.evaluation.estimates import Estimates, of_catalogue, of_members
from offline.evaluation.floors import FLOOR, floors
from offline.evaluation.genres import Genres
from offline.evaluation.metrics import OF_GENRES, Background, parse_metrics
from offline.evaluation.one_model import Asked, Found, fit_and_rank
from offline.evaluation.protocol import prepare
from offline.evaluation.segments import OF_TITLES, Segment, find_segments
from offline.evaluation.text import report_text
from offline.interactions import Interactions
from offline.models import Model
from shared.errors import InputError


class ModelResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model's figures. The keys of a group are metrics, such as "recall@20"."""

    model: str  # its name in the registry
    settings: dict[str, Any]
    fit_s: float
    fit_cpu_s: float  # CPU-seconds of all threads
    rank_s: float
    metrics: dict[str, dict[str, Estimate]]  # group -> metric -> figure with interval
    lift: dict[str, dict[str, Estimate]]  # the same for the paired difference from the baseline; empty for itself


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation found.

    Group "all" is every test member; "known" those with a history in train or context; others are segments, "kind: name".
    Metrics of the catalogue are in "all" only.
    """

    protocol: str  # how the test was held out
    members: dict[str, int]  # of each group
    segments: dict[str, list[str]]  # kind -> its groups
    titles: int  # ranked
    test_titles: int  # to find, over all members
    unknown_titles: int  # of them not in train: misses for every model
    keep_seen: bool
    baseline: str
    floor: str  # the strongest kind of popularity, by the first metric
    models: dict[str, ModelResult]  # by label

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self, segments: bool = True) -> str:
        """The report as tables for people, those of the segments last."""
        return report_text(self, segments)


def evaluate_models(
    train: Interactions,
    test: Interactions,
    models: Mapping[str, Model[Any]],
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    context: Interactions | None = None,
    keep_seen: bool = False,
    *,
    genres: Genres | None = None,
    segments: Sequence[str] = (),
    baseline: str = FLOOR,
    protocol: str = "",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Fit each model on train and rank the whole catalogue for the members of test.

    Parameters
    ----------
    models : by label, not fitted yet. Popularity is added as the floor, overall and in the strongest of the ways that the data
        allow (`floors`); a label of one of these takes its place.
    metrics : such as "recall@20"; see `offline.evaluation.metrics`.
    context : history that is known when recommending but was not trained on.
    genres : of the titles, for the metrics that need them.
    segments : kinds of segments to look at; see `offline.evaluation.segments`.
    baseline : label of the model from which differences are taken.
    protocol : how the test was held out, in words.
    seed : of the resamples of members behind the intervals.
    progress : called with a sentence as each model begins, and every few seconds of a fit.

    Raises
    ------
    InputError : an unknown metric, segment or baseline, or nothing to evaluate.
    """
    wanted = parse_metrics(metrics)
    task = prepare(train, test, context, keep_seen)
    known = Background(train, genres)
    if any(metric.name in OF_GENRES for metric in wanted):
        _ = known.genre_shares  # refused before anything is fitted
    parts = find_segments(segments, task, train)
    below = floors(train)
    competing = {**below, **models}
    if baseline not in competing:
        raise InputError(f"there is no model {baseline!r} to compare with; expected one of {', '.join(competing)}")
    asked = Asked(task, wanted, known, parts.get(OF_TITLES, []), seed)
    found = {label: fit_and_rank(label, model, train, asked, progress) for label, model in competing.items()}
    floor = _strongest({label: found[label] for label in below}, asked)
    told = [label for label in found if label in (FLOOR, floor, baseline) or label in models]
    groups = _estimates({label: found[label] for label in told}, asked, parts, baseline)
    results = {
        label: ModelResult(
            model=competing[label].name,
            settings=msgspec.to_builtins(competing[label].settings),
            fit_s=found[label].fit_s,
            fit_cpu_s=found[label].fit_cpu_s,
            rank_s=found[label].rank_s,
            metrics={group: each.levels[label] for group, each in groups.items()},
            lift={group: each.lifts[label] for group, each in groups.items()},
        )
        for label in told
    }
    return Report(
        protocol=protocol,
        members={group: each.members for group, each in groups.items()},
        segments={kind: [f"{kind}: {part.name}" for part in found_parts] for kind, found_parts in parts.items()},
        titles=len(task.title_ids),
        test_titles=int(task.relevant.sum()),
        unknown_titles=task.unknown_titles,
        keep_seen=keep_seen,
        baseline=baseline,
        floor=floor,
        models=results,
    )


def _strongest(below: Mapping[str, Found], asked: Asked) -> str:
    """The floor with the greatest mean of the first metric of hits; the plain one where none is asked for."""
    column = next((number for number, metric in enumerate(asked.of_members) if metric.of_hits), None)
    if column is None:
        return FLOOR
    return max(below, key=lambda label: float(below[label].values[:, column].mean()))


class _Group(NamedTuple):
    members: int
    levels: dict[str, Estimates]
    lifts: dict[str, Estimates]


def _estimates(
    found: Mapping[str, Found], asked: Asked, segments: Mapping[str, list[Segment]], baseline: str
) -> dict[str, _Group]:
    """Means, intervals and differences of every group of members."""
    everybody = np.ones(len(asked.task.member_ids), np.bool_)
    groups = {"all": Segment("all", everybody), "known": Segment("known", asked.task.has_history)}
    groups |= {f"{kind}: {part.name}": part for kind, parts in segments.items() for part in parts}
    made: dict[str, _Group] = {}
    for group, part in groups.items():
        if not part.members.any():  # nobody has a history
            made[group] = _Group(0, {label: {} for label in found}, {label: {} for label in found})
            continue
        metrics = asked.of_members if part.titles is None else asked.of_hits
        values = {
            label: (each.values if part.titles is None else each.in_titles[part.name])[part.members]
            for label, each in found.items()
        }
        levels, lifts = of_members(values, [str(metric) for metric in metrics], baseline, asked.seed)
        if group == "all":
            whole, over = of_catalogue({label: each.catalogue for label, each in found.items()}, baseline)
            levels = {label: levels[label] | whole[label] for label in found}
            lifts = {label: lifts[label] | over[label] for label in found}
        made[group] = _Group(int(part.members.sum()), levels, lifts)
    return made
