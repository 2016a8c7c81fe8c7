"""The jobs that train: labels in the cluster, then the fit in one task on one node, with its GPU where it has one; or, of more
interactions than one node takes, iALS over the whole cluster.

`train` fits the model in use, `train --model NAME` any other. Progress is told while the task runs, and a run that failed goes on
from the last pass that it kept.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from offline import labels
from offline.jobs import Context, Job
from offline.models import Model, create_model
from offline.progress import fit_progress
from offline.training import model_store, unfinished
from offline.training.across_cluster import can_spread, fit_and_save
from offline.training.configured import configured_model
from offline.training.fitting import fit, subject
from offline.training.record import Data, RunRecord
from offline.training.rows import from_batches
from offline.training.unfinished import LakeCheckpoint
from shared import tables
from shared.errors import InputError
from shared.lake import ArrowFunction


def work(context: Context, name: str | None = None) -> dict[str, str]:
    """Write the interactions table, fit on exactly that version, and register the model.

    Parameters
    ----------
    name : of the model; None for the one in use.

    Raises
    ------
    InputError : there are no plays. ConfigError : see `configured_model`.
    """
    lake = context.lake
    model = configured_model(context.config.training, name)
    plays_version = lake.version(tables.PLAYS)
    plays = lake.read(tables.PLAYS, plays_version)
    if plays.isEmpty():
        raise InputError(f"the lake at {lake.root} holds no plays to train on; run import or ingest first")
    version = lake.overwrite(labels.interactions(plays), tables.INTERACTIONS)
    folder = f"models/{model.name}/{context.run_id}-{version}"
    kept = lake.url(f"{unfinished.FOLDER}/{model.name}")
    # Not by the content's fingerprint: sums of shares may differ in their last bit from one shuffle to the next.
    about = subject(model, f"{tables.PLAYS.name} {plays_version}")
    rows = lake.read(tables.INTERACTIONS, version)
    if can_spread(model) and rows.count() > context.config.training.spread_entries:
        record = fit_and_save(context, model, rows, version, about, f"{kept}-spread", lake.url(folder))
    else:
        task = _trainer(model, version, kept, about, lake.url(folder))
        with unfinished.followed(kept, context.say):
            found = rows.repartition(1).mapInArrow(task, "record STRING").collect()
        record = msgspec.json.decode(found[0]["record"], type=RunRecord)
    lake.append(lake.rows([_row(record, context.run_id, folder)], tables.MODELS), tables.MODELS)
    return {
        "model": record.model,
        "members": str(record.data.members),
        "titles": str(record.data.titles),
        "interactions": str(record.data.entries),
        "fit_s": f"{record.seconds:.1f}",
        **{metric: f"{value:.4f}" for metric, value in record.metrics.items()},
    }


def _trainer(model: Model[Any], version: int, kept_url: str, about: str, model_url: str) -> ArrowFunction:
    """What the task does: `kept_url` is for its checkpoint of the subject `about`, `model_url` for the model."""
    name, settings = model.name, msgspec.to_builtins(model.settings)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        interactions = from_batches(batches)
        data = Data.of(interactions, tables.INTERACTIONS.name, version)
        progress = fit_progress(name, partial(unfinished.write_line, kept_url))
        fitted = create_model(name, **settings)
        with LakeCheckpoint(kept_url, name, about) as kept:
            record = fit(fitted, interactions, data, kept, progress)
            model_store.save(fitted, model_url)
            kept.remove()
        yield pa.RecordBatch.from_pylist([{"record": record.to_json().decode()}])

    return run


def _row(record: RunRecord, version: str, folder: str) -> dict[str, Any]:
    """A run as a row of the table of models."""
    return {
        "name": record.model,
        "version": version,
        "folder": folder,
        "trained_at_ms": record.started_at_ms + int(record.seconds * 1000),
        "interactions_version": record.data.version,
        "members": record.data.members,
        "titles": record.data.titles,
        "settings": msgspec.json.encode(record.settings).decode(),
        "seconds": record.seconds,
        "data_fingerprint": record.data.fingerprint,
        "cpu_seconds": record.cpu_seconds,
        "peak_memory_mb": record.peak_memory_mb,
        "device": record.device,
        "resumed_from": record.resumed_from,
        "metrics": record.metrics,
        "versions": record.versions,
    }


def train_job(name: str | None = None) -> Job:
    """The job that trains a model, the one in use where none is named."""
    return Job(
        name="train" if name is None else f"train-{name}",
        summary=f"train {'the model in use' if name is None else name} on all plays",
        reads=(tables.PLAYS,),
        writes=(tables.INTERACTIONS, tables.MODELS),
        work=partial(work, name=name),
        settings=lambda config: [
            name or config.training.model,
            msgspec.to_builtins(configured_model(config.training, name).settings),
        ],
    )


JOB = train_job()
