"""Evaluates on the lake, split by time: models learn from the older plays and must find what members played later."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from offline import labels
from offline.evaluation.floors import FLOOR
from offline.evaluation.leaks import require_time_order
from offline.evaluation.report import Report, evaluate_models
from offline.evaluation.split import earlier_half
from offline.interactions import Interactions
from offline.jobs import Context, Job
from offline.models import create_model
from offline.training.configured import configured_model, settings_of
from offline.training.rows import from_batches
from shared import tables
from shared.errors import InputError
from shared.lake import ArrowFunction, Lake

Chosen = tuple[str, dict[str, Any]]
"""The name of a model, and its settings."""

METRICS = ("recall@20", "ndcg@20", "novelty@20", "coverage@20", "gini@20")
OF_GENRES = "calibration@20"
SEGMENTS = ("activity", "age", "country", "titles")


def work(context: Context) -> dict[str, str]:
    """Evaluate the model in use with its configured settings beside popularity, and keep the figures."""
    training = context.config.training
    name = configured_model(training).name
    report = on_lake(
        context.lake, {name: (name, settings_of(training, name))}, _metrics(context.lake), training.test_share, segments=SEGMENTS
    )
    found = [
        {
            "run_id": context.run_id,
            "at_ms": context.now_ms,
            "model": label,
            "metric": name,
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "members": report.members["all"],
        }
        for label, result in report.models.items()
        for name, estimate in result.metrics["all"].items()
    ]
    context.lake.append(context.lake.rows(found, tables.METRICS), tables.METRICS)
    context.say(report.to_text())
    figures = {
        f"{label} {name}": f"{estimate.mean:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
        for label, result in report.models.items()
        for name, estimate in result.metrics["all"].items()
    }
    return {**figures, "report": report.to_text(segments=False)}


def _metrics(lake: Lake) -> tuple[str, ...]:
    """What is measured every night; calibration where the catalogue has genres."""
    without_genres = lake.read(tables.TITLES).where(F.size("genres") > 0).isEmpty()
    return METRICS if without_genres else (*METRICS, OF_GENRES)


def on_lake(
    lake: Lake,
    models: Mapping[str, Chosen],
    metrics: Sequence[str],
    test_share: float,
    keep_seen: bool = False,
    *,
    segments: Sequence[str] = (),
    baseline: str = FLOOR,
) -> Report:
    """Split the lake's plays by time and evaluate models in one task.

    Of the plays held out, each member's earlier half is context: what nearline knows by the time a page is asked for, though
    training, which ended before, does not. The rest is to be found. Genres are those of the lake's titles.

    Parameters
    ----------
    models : by label, the name of a model and its settings.
    test_share : newest share of the plays that is held out.
    segments, baseline : see `evaluate_models`.

    Raises
    ------
    InputError : there are too few plays to split.
    """
    plays = lake.read(tables.PLAYS)
    cut = plays.agg(F.percentile_approx("at_ms", F.lit(1 - test_share), 10_000)).collect()[0][0]
    if cut is None:
        raise InputError(f"the lake at {lake.root} holds no plays to evaluate on; run import or ingest first")
    train = labels.interactions(plays.where(F.col("at_ms") < cut)).withColumn("is_test", F.lit(False))
    test = labels.interactions(plays.where(F.col("at_ms") >= cut)).withColumn("is_test", F.lit(True))
    rows = train.unionByName(test).repartition(1)
    titles = lake.read(tables.TITLES).select("title_id", "genres").collect()
    asked = _Asked(
        models=dict(models),
        metrics=tuple(metrics),
        keep_seen=keep_seen,
        genres={row["title_id"]: tuple(row["genres"] or ()) for row in titles},
        segments=tuple(segments),
        baseline=baseline,
        protocol=f"the lake's plays by time: the newest {test_share:.0%} held out, of which each member's earlier half is known",
    )
    return msgspec.json.decode(rows.mapInArrow(_evaluator(asked), "report STRING").collect()[0]["report"], type=Report)


class _Asked(NamedTuple):
    """What goes to the task, beside the rows."""

    models: dict[str, Chosen]
    metrics: tuple[str, ...]
    keep_seen: bool
    genres: dict[str, tuple[str, ...]]
    segments: tuple[str, ...]
    baseline: str
    protocol: str


def _evaluator(asked: _Asked) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(list(batches))
        held_out = table["is_test"]
        train, test = _indexed(table.filter(pc.invert(held_out))), _indexed(table.filter(held_out))
        require_time_order(_times(train), _times(test))
        known = earlier_half(test.entry_members, _times(test))
        report = evaluate_models(
            train,
            test.where(~known),
            {label: create_model(name, **settings) for label, (name, settings) in asked.models.items()},
            asked.metrics,
            test.where(known),
            asked.keep_seen,
            genres=asked.genres,
            segments=asked.segments,
            baseline=asked.baseline,
            protocol=asked.protocol,
        )
        yield pa.RecordBatch.from_pylist([{"report": report.to_json().decode()}])

    return run


def _indexed(table: pa.Table) -> Interactions:
    return from_batches(table.to_batches())


def _times(interactions: Interactions) -> "np.ndarray[Any, np.dtype[np.int64]]":
    assert interactions.at_ms is not None  # the table has the column
    return interactions.at_ms


JOB = Job(
    name="evaluate",
    summary="compare the model in use with popularity on a split by time",
    reads=(tables.PLAYS, tables.TITLES),
    writes=(),
    work=work,
    settings=lambda config: [
        config.training.model,
        msgspec.to_builtins(configured_model(config.training).settings),
        config.training.test_share,
    ],
)
