"""Quality on public data by published protocols, beside what others published for them.

`ENTRIES` holds the settings of each model on each data set, chosen on a part of its training data held out; none by its test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.bench.models.published import SETS
from infra.bench.report import Row
from offline.evaluation.bootstrap import Estimate
from offline.evaluation.floors import FLOOR
from offline.evaluation.report import ModelResult, evaluate_models
from offline.evaluation.sources import Parts
from offline.models import create_model

Say = Callable[[str], None]


@dataclass(frozen=True)
class Published:
    """Figures that others published for a metric: the least to reach, the one to reach, and one past it."""

    floor: float
    target: float
    beyond: float | None = None

    def text(self) -> str:
        """For the table."""
        beyond = "" if self.beyond is None else f", beyond {self.beyond:.4f}"
        return f"≥ {self.target:.4f} (floor {self.floor:.4f}{beyond})"


@dataclass(frozen=True)
class Entry:
    """One model on one data set. `minutes` is the promised time to train on two cores, and one past it."""

    data: str
    what: str
    model: str
    metrics: dict[str, Published]
    settings: dict[str, Any] = field(default_factory=dict)
    minutes: tuple[float, float] | None = None


ENTRIES: tuple[Entry, ...] = (
    Entry(
        "gowalla",
        "Gowalla, best single model",
        "graph",
        {"recall@20": Published(0.1830, 0.1872, 0.192), "ndcg@20": Published(0.1554, 0.1580, 0.162)},
    ),
    Entry(
        "gowalla",
        "Gowalla, iALS alone",
        "ials",
        {"recall@20": Published(0.175, 0.183), "ndcg@20": Published(0.148, 0.154)},
        {"factors": 1024, "regularisation": 0.003, "iterations": 4},
    ),
    Entry(
        "amazon-beauty",
        "Amazon Beauty, sequence transformer",
        "sequence",
        {"hr@10": Published(0.0605, 0.0845, 0.093), "ndcg@10": Published(0.0318, 0.0443, 0.053)},
        {"dropout": 0.5, "epochs": 30, "patience": 4, "held_out_members": 2236},
        minutes=(30, 10),
    ),
    Entry("ml-100k", "ml-100k, random 75/25", "ease", {"ndcg@10": Published(0.442, 0.484)}),
    Entry("ml-100k", "ml-100k, random 75/25, blended", "blend", {"ndcg@10": Published(0.442, 0.484)}),
)


def measure(say: Say, data: Path, only: Sequence[str] = ()) -> list[Row]:
    """Fit and evaluate every entry.

    Parameters
    ----------
    say : told what is being done, and what is left out.
    data : folder of the public data sets, one folder each.
    only : names of data sets (`SETS`); all where empty.
    """
    rows: list[Row] = []
    for name, read in SETS.items():
        entries = [entry for entry in ENTRIES if entry.data == name and (not only or name in only)]
        if not entries:
            continue
        if not (data / name).is_dir():
            say(f"{name} is left out: there is no folder {data / name}")
            continue
        rows += _measured(say, read(data / name), entries)
    return rows


def _measured(say: Say, parts: Parts, entries: Sequence[Entry]) -> list[Row]:
    """All entries of one data set on the same test, with popularity as the floor."""
    metrics = list(dict.fromkeys(metric for entry in entries for metric in entry.metrics))
    report = evaluate_models(
        parts.train,
        parts.test,
        {entry.what: create_model(entry.model, **entry.settings) for entry in entries},
        metrics,
        parts.context,
        protocol=parts.protocol,
        progress=say,
    )
    rows = []
    for entry in entries:
        result = report.models[entry.what]
        rows += [_quality(entry, metric, published, result) for metric, published in entry.metrics.items()]
        rows.append(_time(entry, result))
    floor = report.models[FLOOR].metrics["all"]
    rows += [Row(f"{parts.protocol}: {FLOOR}, {metric}", _text(floor[metric])) for metric in metrics]
    return rows


def _quality(entry: Entry, metric: str, published: Published, result: ModelResult) -> Row:
    found = result.metrics["all"][metric]
    values = {"mean": found.mean, "low": found.low, "high": found.high, "model": entry.model, "settings": result.settings}
    return Row(
        f"{entry.what} ({entry.model}), {metric}",
        _text(found),
        published.text(),
        found.mean >= published.target,
        values | {"floor": published.floor, "target": published.target, "beyond": published.beyond},
    )


def _time(entry: Entry, result: ModelResult) -> Row:
    figure = f"{result.fit_s / 60:.1f} min, {result.fit_cpu_s:,.0f} CPU-seconds"
    values = {"fit_s": result.fit_s, "fit_cpu_s": result.fit_cpu_s}
    what = f"{entry.what} ({entry.model}), trained in"
    if entry.minutes is None:
        return Row(what, figure, values=values)
    target, beyond = entry.minutes
    return Row(what, figure, f"≤ {target:g} min (beyond {beyond:g})", result.fit_s <= target * 60, values)


def _text(found: Estimate) -> str:
    return f"{found.mean:.4f} ({found.low:.4f} – {found.high:.4f})"
