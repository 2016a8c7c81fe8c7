"""Trains the ranker on logged pages: examples in the cluster, then the fit in one task, with its node's GPU where it has one.

Where too little was shown and played there is nothing to learn from, and pages stay ranked by the blend's own scores; so they do
when the ranker orders held-out pages no better than those (`offline.ranker_store`).
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from offline import ranker_log, ranker_store
from offline.jobs import Context, Job
from offline.models.ranker import RankerModel, RankerSettings
from offline.ranker_examples import Examples, Sampling
from offline.ranker_quality import judge
from offline.training.record import Meter, device_name, versions
from shared import tables
from shared.lake import ArrowFunction, put_folder

LEAST_PLAYS = 300
"""Fewer cells that were played teach a network of this size nothing that holds elsewhere."""
VALIDATION_SHARE = 0.1
"""Newest pages that decide when training ends, and as many after them that say how good the ranker is."""


class _Found(msgspec.Struct):
    """What the training task came to. Without metrics nothing was trained."""

    pages: int
    cells: int
    plays: int
    trained_at_ms: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    device: str = ""
    metrics: dict[str, float] = {}
    versions: dict[str, str] = {}


def work(context: Context) -> dict[str, str]:
    """Train on the newest pages and register the ranker; says why where none is trained."""
    lake, training = context.lake, context.config.training
    if not training.ranker:
        return {"ranker": "not trained: [training] ranker is off"}
    if not lake.version(tables.IMPRESSIONS):
        return {"ranker": "not trained: no page was logged yet"}
    log = ranker_log.page_log(lake, training.ranker_pages)
    try:
        if not log.served:
            return {"ranker": "not trained: no page is settled and of a snapshot that can still be read"}
        settings = RankerSettings(seed=training.seed)
        folder = f"rankers/{context.run_id}-{lake.version(tables.IMPRESSIONS)}"
        with lake.setting("spark.sql.execution.arrow.maxRecordsPerBatch", "200"):
            made = ranker_log.examples(lake, log, training.candidates, Sampling(seed=training.seed))
            task = _trainer(settings, lake.url(folder))
            [row] = made.repartition(1).mapInArrow(task, "found STRING").collect()
    finally:
        log.pages.unpersist()
    found = msgspec.json.decode(row["found"], type=_Found)
    counts = {"pages": str(found.pages), "plays": str(found.plays)}
    if not found.metrics:
        return {"ranker": f"not trained: {found.plays} plays from logged pages, at least {LEAST_PLAYS} are due", **counts}
    lake.append(lake.rows([_row(found, settings, folder)], tables.RANKERS), tables.RANKERS)
    figures = {name: f"{found.metrics[name]:.4f}" for name in (f"ranker_{ranker_store.METRIC}", f"blend_{ranker_store.METRIC}")}
    verdict = "better than the blend" if ranker_store.is_better(found.metrics) else "no better than the blend, not published"
    return {"ranker": verdict, **counts, "fit_s": f"{found.seconds:.1f}", **figures}


def _trainer(settings: RankerSettings, url: str) -> ArrowFunction:
    """What the task does: rows of examples in, one row of what was found out; the ranker goes to `url`."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = _train(ranker_log.read_examples(batches), settings, url)
        yield pa.RecordBatch.from_pylist([{"found": msgspec.json.encode(found).decode()}])

    return run


def _train(examples: Examples, settings: RankerSettings, url: str) -> _Found:
    plays = int(examples.labels.sum())
    found = _Found(len(np.unique(examples.pages)), len(examples.labels), plays)
    if plays < LEAST_PLAYS:
        return found
    examples = examples.at(np.lexsort((np.arange(len(examples.pages)), examples.pages)))  # however tasks delivered them
    meter = Meter()
    train, validation, held_out = examples.split_by_time(VALIDATION_SHARE, VALIDATION_SHARE)
    model = RankerModel(settings).fit(train, validation)
    metrics = judge(model, held_out) | model.figures
    with tempfile.TemporaryDirectory(prefix="marquee-") as folder:
        model.save(Path(folder) / "ranker")
        put_folder(Path(folder) / "ranker", url)
    return msgspec.structs.replace(
        found,
        trained_at_ms=meter.started_at_ms + int(1000 * meter.seconds),
        seconds=meter.seconds,
        cpu_seconds=meter.cpu_seconds,
        peak_memory_mb=meter.peak_memory_mb,
        device=device_name(msgspec.to_builtins(settings)),
        metrics=metrics,
        versions=versions(),
    )


def _row(found: _Found, settings: RankerSettings, folder: str) -> dict[str, Any]:
    """A training as a row of the table of rankers."""
    stored = msgspec.json.encode(settings).decode()
    return {**msgspec.structs.asdict(found), "version": folder.rpartition("/")[2], "folder": folder, "settings": stored}


JOB = Job(
    name="ranker",
    summary="train the ranker on the pages that were shown",
    reads=(tables.IMPRESSIONS, tables.PLAYS, tables.FEEDBACK),
    writes=(tables.RANKERS,),
    work=work,
    settings=lambda config: [
        config.training.ranker, config.training.ranker_pages, config.training.candidates, config.training.seed,
    ],
)  # fmt: skip
