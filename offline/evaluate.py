"""Evaluates on the lake, split by time: models learn from the older plays and must find what members played later."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from offline import labels
from offline.evaluation.report import Report, evaluate_models
from offline.evaluation.split import earlier_half, require_time_order
from offline.interactions import Interactions
from offline.jobs import Context, Job
from offline.models import create_model
from offline.training import ials_job
from shared import tables
from shared.errors import InputError
from shared.lake import ArrowFunction, Lake

Chosen = tuple[str, dict[str, Any]]
"""The name of a model, and its settings."""

METRICS = ("recall@20", "ndcg@20", "coverage@20")


def work(context: Context) -> dict[str, str]:
    """Evaluate iALS with the configured settings beside popularity, and keep the figures."""
    chosen: dict[str, Any] = msgspec.to_builtins(ials_job.settings(context.config.training))
    report = on_lake(context.lake, {"ials": ("ials", chosen)}, METRICS, context.config.training.test_share)
    found = [
        {
            "run_id": context.run_id,
            "at_ms": context.now_ms,
            "model": label,
            "metric": name,
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "members": report.members["known"],
        }
        for label, result in report.models.items()
        for name, estimate in result.metrics["known"].items()
    ]
    context.lake.append(context.lake.rows(found, tables.METRICS), tables.METRICS)
    context.say(report.to_text())
    figures = {
        f"{label} {name}": f"{estimate.mean:.4f} [{estimate.low:.4f}, {estimate.high:.4f}]"
        for label, result in report.models.items()
        for name, estimate in result.metrics["known"].items()
    }
    return {**figures, "report": report.to_text()}


def on_lake(
    lake: Lake, models: Mapping[str, Chosen], metrics: Sequence[str], test_share: float, keep_seen: bool = False
) -> Report:
    """Split the lake's plays by time and evaluate models in one task.

    Of the plays held out, each member's earlier half is context: what nearline knows by the time a page is asked for, though
    training, which ended before, does not. The rest is to be found.

    Parameters
    ----------
    models : by label, the name of a model and its settings.
    test_share : newest share of the plays that is held out.

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
    task = _evaluator(dict(models), tuple(metrics), keep_seen)
    return msgspec.json.decode(rows.mapInArrow(task, "report STRING").collect()[0]["report"], type=Report)


def _evaluator(chosen: dict[str, Chosen], metrics: tuple[str, ...], keep_seen: bool) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(list(batches))
        held_out = table["is_test"]
        train, test = _indexed(table.filter(pc.invert(held_out))), _indexed(table.filter(held_out))
        require_time_order(_times(train), _times(test))
        known = earlier_half(test.entry_members, _times(test))
        models = {label: create_model(name, **settings) for label, (name, settings) in chosen.items()}
        report = evaluate_models(train, test.where(~known), models, metrics, test.where(known), keep_seen)
        yield pa.RecordBatch.from_pylist([{"report": report.to_json().decode()}])

    return run


def _indexed(table: pa.Table) -> Interactions:
    return ials_job.from_batches(table.to_batches())


def _times(interactions: Interactions) -> "np.ndarray[Any, np.dtype[np.int64]]":
    assert interactions.at_ms is not None  # the table has the column
    return interactions.at_ms


JOB = Job(
    name="evaluate",
    summary="compare iALS with popularity on a split by time",
    reads=(tables.PLAYS,),
    writes=(),
    work=work,
    settings=lambda config: [msgspec.to_builtins(ials_job.settings(config.training)), config.training.test_share],
)
