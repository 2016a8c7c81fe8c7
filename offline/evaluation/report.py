"""Fits models, evaluates them on one test side by side, and reports means, intervals and the lift over popularity."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from offline.evaluation.bootstrap import Estimate, estimate, resampled_means
from offline.evaluation.protocol import Ranking, Task, prepare, rank
from offline.evaluation.ranking import COVERAGE, MEMBER_METRICS, Metric, coverage
from offline.interactions import BoolArray, Interactions
from offline.models import Model, Popularity
from shared.errors import InputError

BASELINE = "popularity"
GROUPS = ("all", "known")


class ModelResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model's figures. The keys of a group are metrics, such as "recall@20"."""

    model: str  # its name in the registry
    settings: dict[str, Any]
    fit_s: float
    rank_s: float
    metrics: dict[str, dict[str, Estimate]]  # group -> metric -> mean over the group's members, with interval
    lift: dict[str, dict[str, Estimate]]  # the same for the paired difference from the baseline; empty for itself
    coverage: dict[str, float]  # metric -> share of the catalogue


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation found. Group "all" is every test member; "known" those with a history in train or context."""

    members: dict[str, int]  # of each group
    titles: int  # ranked
    test_titles: int  # to find, over all members
    unknown_titles: int  # of them not in train: misses for every model
    keep_seen: bool
    baseline: str
    models: dict[str, ModelResult]  # by label

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self) -> str:
        """The report as a table for people."""
        seen = "seen titles kept" if self.keep_seen else "seen titles left out"
        lines = [f"{self.titles:,} titles ranked, {seen}; {self.test_titles:,} test titles, {self.unknown_titles:,} not in train"]
        for group, members in self.members.items():
            if group == "known" and members == self.members["all"]:
                continue
            what = "all test members" if group == "all" else "test members with a history"
            lines += ["", f"{what}: {members:,}", *self._table(group)]
        return "\n".join(lines) + "\n"

    def _table(self, group: str) -> list[str]:
        baseline = self.models[self.baseline].metrics[group]
        table = [["model", "metric", "mean", "95 % interval", f"over {self.baseline}", "95 % interval", "fit s"]]
        for label, result in self.models.items():
            for metric, found in result.metrics[group].items():
                row = [label, metric, f"{found.mean:.4f}", f"{found.low:.4f} – {found.high:.4f}"]
                lift = result.lift[group].get(metric)
                if lift is None:
                    row += ["", ""]
                else:
                    base = baseline[metric].mean
                    relative = f" ({lift.mean / base:+.0%})" if base > 0 else ""
                    row += [f"{lift.mean:+.4f}{relative}", f"{lift.low:+.4f} – {lift.high:+.4f}"]
                table.append([*row, f"{result.fit_s:.1f}"])
            if group == "all":
                table += [[label, name, f"{share:.4f}", "", "", "", ""] for name, share in result.coverage.items()]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def evaluate_models(
    train: Interactions,
    test: Interactions,
    models: Mapping[str, Model[Any]],
    metrics: Sequence[str] = ("recall@20", "ndcg@20"),
    context: Interactions | None = None,
    keep_seen: bool = False,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Fit each model on train and rank the whole catalogue for the members of test.

    Parameters
    ----------
    models : by label, not fitted yet. Popularity is added as the baseline where no label "popularity" is given.
    metrics : such as "recall@20"; see `offline.evaluation.ranking`.
    context : history that is known when recommending but was not trained on.
    seed : of the resamples of members behind the intervals.
    progress : called with a sentence as each model begins.

    Raises
    ------
    InputError : an unknown metric, or nothing to evaluate.
    """
    wanted = list(dict.fromkeys(Metric.parse(text) for text in metrics))
    if not wanted:
        raise InputError("no metrics are asked for; expected at least one, as recall@20")
    models = {BASELINE: Popularity(), **models}
    task = prepare(train, test, context, keep_seen)
    groups = {"all": np.ones(len(task.member_ids), np.bool_), "known": task.has_history}
    depth = max(metric.k for metric in wanted)
    results: dict[str, ModelResult] = {}
    values: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for label, model in models.items():
        if progress is not None:
            progress(f"fitting and ranking {label}")
        began = time.perf_counter()
        model.fit(train)
        fitted = time.perf_counter()
        ranking = rank(model, task, depth)
        values[label] = member_values(ranking, task, wanted)
        results[label] = ModelResult(
            model=model.name,
            settings=msgspec.to_builtins(model.settings),
            fit_s=fitted - began,
            rank_s=time.perf_counter() - fitted,
            metrics={},
            lift={},
            coverage={str(one): coverage(ranking.titles, len(task.title_ids), one.k) for one in wanted if one.name == COVERAGE},
        )
    names = [str(metric) for metric in wanted if metric.name != COVERAGE]
    for group, inside in groups.items():
        _add_estimates(results, values, names, group, inside, seed)
    return Report(
        members={group: int(inside.sum()) for group, inside in groups.items()},
        titles=len(task.title_ids),
        test_titles=int(task.relevant.sum()),
        unknown_titles=task.unknown_titles,
        keep_seen=keep_seen,
        baseline=BASELINE,
        models=results,
    )


def member_values(ranking: Ranking, task: Task, metrics: Sequence[Metric]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values of the per-member metrics, `(members, metrics)`; coverage, which is not one, is left out."""
    columns = [
        MEMBER_METRICS[metric.name](ranking.hits, task.relevant, metric.k) for metric in metrics if metric.name != COVERAGE
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(task.member_ids), 0))


def _add_estimates(
    results: dict[str, ModelResult],
    values: dict[str, np.ndarray[Any, np.dtype[np.float64]]],
    names: list[str],
    group: str,
    inside: BoolArray,
    seed: int,
) -> None:
    """Fill in one group's means, intervals and paired differences from the baseline."""
    if not inside.any():
        for result in results.values():
            result.metrics[group], result.lift[group] = {}, {}
        return
    labels = list(results)
    together = np.concatenate([values[label][inside] for label in labels], axis=1)  # (members, labels x metrics)
    means = resampled_means(together, seed=seed)
    base = labels.index(BASELINE) * len(names)
    for number, label in enumerate(labels):
        result, first = results[label], number * len(names)
        result.metrics[group] = {name: estimate(together[:, first + i], means[:, first + i]) for i, name in enumerate(names)}
        result.lift[group] = {
            name: estimate(
                together[:, first + i] - together[:, base + i],
                means[:, first + i] - means[:, base + i],
            )
            for i, name in enumerate(names)
            if label != BASELINE
        }
