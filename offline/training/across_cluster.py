"""The fit for interactions that do not fit on one node: iALS over the whole cluster, alone or as the one source of a blend."""

from typing import Any

import msgspec
from pyspark.sql import DataFrame

from offline.jobs import Context
from offline.models import IALS, Blend, Model, Pass
from offline.progress import fit_progress
from offline.training import model_store
from offline.training.distributed_ials import fit_on_spark
from offline.training.record import Data, Meter, RunRecord, versions
from shared import tables


def can_spread(model: Model[Any]) -> bool:
    """Whether a model is fitted over the cluster: iALS is, and a blend whose sources are not named."""
    return isinstance(model, IALS) or (isinstance(model, Blend) and model.settings.sources == "auto")


def fit_and_save(
    context: Context, model: Model[Any], rows: DataFrame, version: int, subject: str, kept: str, url: str
) -> RunRecord:
    """Fit over the cluster and save from the driver, which holds all factors at the end.

    Parameters
    ----------
    rows : a version of the interactions table.
    subject : what the fit is of; an interrupted one of another is not gone on from.
    kept, url : folders for an unfinished fit and for the model.
    """
    source = model.create_source(IALS.name) if isinstance(model, Blend) else model
    assert isinstance(source, IALS)
    meter, cores = Meter(), context.lake.spark.sparkContext.defaultParallelism
    last: Pass | None = None
    show = fit_progress(model.name, lambda line: context.say(f"  {line}"))

    def told(done: Pass) -> None:
        nonlocal last
        last = done
        show(done)

    ials = fit_on_spark(rows, source.settings, kept, subject=subject, progress=told)
    fitted = Blend.of_one(model.settings, ials) if isinstance(model, Blend) else ials
    model_store.save(fitted, url)
    earlier = source.settings.iterations if last is None else last.number - last.fresh
    return RunRecord(
        model=model.name,
        settings=msgspec.to_builtins(model.settings),
        data=Data(
            source=tables.INTERACTIONS.name,
            version=version,
            fingerprint="",
            members=len(ials.member_ids),
            titles=len(ials.title_ids),
            entries=rows.count(),
        ),
        started_at_ms=meter.started_at_ms,
        seconds=meter.seconds,
        cpu_seconds=meter.cpu_seconds,
        peak_memory_mb=meter.peak_memory_mb,
        device=f"Spark, {cores} cores",
        device_memory_mb=0.0,
        passes=source.settings.iterations,
        resumed_from=earlier or None,
        metrics=fitted.figures(),
        versions=versions(),
    )
