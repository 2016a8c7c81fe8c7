"""Trains iALS on all plays: labels in the cluster, the fit in one task on one node (with its GPU, where it has one)."""

import time
from collections.abc import Iterable, Iterator

import msgspec
import pyarrow as pa

from offline import labels
from offline.interactions import Interactions
from offline.jobs import Context, Job
from offline.models import IALS, IALSSettings
from offline.training import model_store
from shared import tables
from shared.config import TrainingConfig
from shared.errors import InputError
from shared.lake import ArrowFunction

_RESULT = "members LONG, titles LONG, entries LONG, seconds DOUBLE"


def settings(config: TrainingConfig) -> IALSSettings:
    """The model's settings from marquee.toml."""
    return IALSSettings(
        factors=config.factors,
        iterations=config.iterations,
        unobserved_pull=config.unobserved_pull,
        regularisation=config.regularisation,
        seed=config.seed,
        device="auto",
    )


def work(context: Context) -> dict[str, str]:
    """Write the interactions table, fit on exactly that version, and register the model.

    Raises
    ------
    InputError : there are no plays.
    """
    lake = context.lake
    plays = lake.read(tables.PLAYS)
    if plays.isEmpty():
        raise InputError(f"the lake at {lake.root} holds no plays to train on; run import or ingest first")
    version = lake.overwrite(labels.interactions(plays), tables.INTERACTIONS)
    chosen = settings(context.config.training)
    folder = f"models/ials/{context.run_id}-{version}"
    rows = lake.read(tables.INTERACTIONS, version).repartition(1)
    result = rows.mapInArrow(_trainer(chosen, lake.url(folder)), _RESULT).collect()[0]
    model = {
        "name": "ials",
        "version": context.run_id,
        "folder": folder,
        "trained_at_ms": int(time.time() * 1000),
        "interactions_version": version,
        "members": result["members"],
        "titles": result["titles"],
        "settings": msgspec.json.encode(chosen).decode(),
        "seconds": result["seconds"],
    }
    lake.append(lake.rows([model], tables.MODELS), tables.MODELS)
    return {
        "members": str(result["members"]),
        "titles": str(result["titles"]),
        "interactions": str(result["entries"]),
        "fit_s": f"{result['seconds']:.1f}",
    }


def _trainer(chosen: IALSSettings, url: str) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        interactions = from_batches(batches)
        started_s = time.monotonic()
        model = IALS(chosen).fit(interactions)
        seconds = time.monotonic() - started_s
        model_store.save(model, url)
        members, titles = interactions.matrix.shape
        row = {"members": members, "titles": titles, "entries": interactions.matrix.nnz, "seconds": seconds}
        yield pa.RecordBatch.from_pylist([row])

    return run


def from_batches(batches: Iterable[pa.RecordBatch]) -> Interactions:
    """Collect rows of the interactions table inside a task.

    Raises
    ------
    InputError : there are none.
    """
    # Spark marks columns that cannot be null; the cast takes either.
    parts = [pa.Table.from_batches([batch]).select(INTERACTION_ROWS.names).cast(INTERACTION_ROWS) for batch in batches]
    table = pa.concat_tables(parts) if parts else INTERACTION_ROWS.empty_table()
    return Interactions.from_columns(
        table["member_id"],
        table["title_id"],
        table["weight"].to_numpy(),
        table["at_ms"].to_numpy(),
        table["country"],
        source=tables.INTERACTIONS.name,
    )


INTERACTION_ROWS = pa.schema(
    {"member_id": pa.string(), "title_id": pa.string(), "weight": pa.float32(), "at_ms": pa.int64(), "country": pa.string()}
)

JOB = Job(
    name="train-ials",
    summary="train iALS on all plays",
    reads=(tables.PLAYS,),
    writes=(tables.INTERACTIONS, tables.MODELS),
    work=work,
    settings=lambda config: msgspec.to_builtins(settings(config.training)),
)
