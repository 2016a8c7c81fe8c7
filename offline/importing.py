"""Brings a user's folder into the lake: titles, history as plays, and the lines that cannot be used.

    folder ──(offline.layouts, one task a file)──► staging ──(limits)──► silver/titles, silver/plays, silver/quarantine

Everything is staged and counted first, so an import that is stopped leaves no trace. Plays are merged by event_id: importing
twice adds nothing. `job(folder)` is what the command line and the demo run; it refuses a bad folder before Spark starts.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from offline.erased import without_erased_history
from offline.jobs import Context, Job
from offline.layouts import PLAY_SCHEMA, BadLine, Layout, check_limits, detect
from offline.layouts.detection import empty_history
from offline.layouts.files import locate
from offline.replay import IMPORTED
from shared import tables
from shared.config import ImportConfig
from shared.errors import InputError
from shared.lake import ArrowFunction, Lake, usable

log = logging.getLogger(__name__)

_REFUSED_SCHEMA = pa.schema([("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())])
_STAGED_SCHEMA = pa.unify_schemas([PLAY_SCHEMA, _REFUSED_SCHEMA])
"""A play, or a refused line, or (line 0) the reason why a whole file is refused; the columns of the others are null."""
_STAGED = ", ".join(
    [column for column in tables.PLAYS.columns.split(", ") if column.split()[0] in PLAY_SCHEMA.names]
    + ["file STRING", "line LONG", "reason STRING", "text STRING"]
)
_WHOLE_FILE = 0
_EXAMPLES = 3


def job(folder: str) -> Job:
    """The job that imports a folder; it is skipped while the folder's files stay as they are.

    Raises
    ------
    InputError : the folder is missing, its layout is unknown, a title cannot be used, or the history cannot be from its
        beginning on: a column is missing, the times are in seconds, there is no line at all.
    """
    if not folder.strip():
        raise InputError("the folder to import has an empty name")
    layout = detect(folder if "://" in folder else str(Path(folder).expanduser().absolute()))
    catalogue = layout.titles()
    next(layout.history(catalogue), None)
    return Job(
        name="import",
        summary=f"bring {folder} ({layout.name}) into the lake",
        reads=(),
        # The tables of plays and bad lines only grow, by other jobs too: their versions do not say whether this one is done.
        writes=(tables.TITLES,),
        work=lambda context: work(context, layout, catalogue),
        settings=lambda config: _signature(layout),
    )


def work(context: Context, layout: Layout, catalogue: pa.Table) -> dict[str, str]:
    """Stage the folder, check the limits, then write titles, plays and bad lines.

    Parameters
    ----------
    catalogue : the folder's titles.

    Raises
    ------
    InputError : a file that cannot be used, an empty data set, or more bad lines than the limits; nothing was written then.
    UnavailableError : the lake cannot be written.
    """
    lake = context.lake
    staging = lake.url(f"staging/import/{_digest(layout.folder)}")
    known = lake.spark.sparkContext.broadcast(catalogue.select(["title_id", "runtime_s"]))
    try:
        with usable(f"importing {layout.folder} into the lake at {lake.root} failed"):
            _stage(lake, layout, known, context.config.imports, staging)
            staged = lake.spark.read.schema(_STAGED).parquet(staging)
            plays, bad = _check(staged, layout, context.config.imports)
            before = lake.read(tables.PLAYS).count()
            if bad:
                lake.insert_new(_quarantine(staged, context.now_ms), tables.QUARANTINE)
            _write_titles(lake, catalogue)
            lake.insert_new(without_erased_history(lake, _plays(staged)), tables.PLAYS)
            new = lake.read(tables.PLAYS).count() - before
    finally:
        known.destroy()
        _remove(staging)
    return {"titles": str(catalogue.num_rows), "plays": str(plays), "new plays": str(new), "bad lines": str(bad)}


def _stage(lake: Lake, layout: Layout, known: "Broadcast[pa.Table]", limits: ImportConfig, staging: str) -> None:
    """Read every file in a task of its own, next to where its rows are written."""
    files = len(layout.history_files)
    numbers = lake.spark.range(0, files, 1, files)
    rows = numbers.mapInArrow(_reader(layout, known, limits), _STAGED)
    # A folder with one large file is read by one task; what follows need not stay there.
    spread = rows.repartition(max(files, lake.spark.sparkContext.defaultParallelism))
    spread.write.mode("overwrite").parquet(staging)


def _reader(layout: Layout, known: "Broadcast[pa.Table]", limits: ImportConfig) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch["id"].to_pylist():
                yield from _read(layout, layout.history_files[number], known.value, limits)

    return run


def _read(layout: Layout, file: str, known: pa.Table, limits: ImportConfig) -> Iterator[pa.RecordBatch]:
    """One file's rows to stage. Past the limit of bad lines it stops: the import will be refused."""
    refused = 0
    try:
        for batch in layout.history(known, [file]):
            if batch.events.num_rows:
                yield _staged(batch.events)
            if batch.bad:
                yield _staged_lines(batch.bad)
            refused += len(batch.bad)
            if refused > limits.bad_lines_limit:
                return
    except InputError as error:  # an exception would reach the driver as a stack trace, after some repetitions of the task
        yield _staged_lines([BadLine(file, _WHOLE_FILE, str(error), "")])


def _staged(rows: pa.RecordBatch) -> pa.RecordBatch:
    there = set(rows.schema.names)
    columns = [
        rows.column(field.name) if field.name in there else pa.nulls(rows.num_rows, field.type) for field in _STAGED_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_STAGED_SCHEMA)


def _staged_lines(bad: list[BadLine]) -> pa.RecordBatch:
    columns = [[getattr(line, name) for line in bad] for name in _REFUSED_SCHEMA.names]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, _REFUSED_SCHEMA.types, strict=True)]
    return _staged(pa.RecordBatch.from_arrays(arrays, schema=_REFUSED_SCHEMA))


def _check(staged: DataFrame, layout: Layout, limits: ImportConfig) -> tuple[int, int]:
    """The number of plays and of bad lines; too many of these, a file that cannot be used, or no line at all is an error."""
    refused = staged.where("reason IS NOT NULL")
    if whole := refused.where(F.col("line") == _WHOLE_FILE).orderBy("file").select("reason").first():
        raise InputError(whole["reason"])
    total, bad = staged.select(F.count(F.lit(1)), F.count("reason")).collect()[0]
    if not total:
        raise empty_history(layout)
    if bad:
        first = refused.orderBy("file", "line").limit(_EXAMPLES).collect()
        check_limits(bad, total, limits, [BadLine(row["file"], row["line"], row["reason"], row["text"]) for row in first])
    return total - bad, bad


def _plays(staged: DataFrame) -> DataFrame:
    """The staged plays as rows of their table. What was collected elsewhere is taken to have arrived when it happened."""
    return staged.where("reason IS NULL").select(
        *PLAY_SCHEMA.names,
        F.lit(IMPORTED).alias("source"),
        F.lit(None).cast("int").alias("epoch"),
        F.lit(None).cast("int").alias("partition"),
        F.lit(None).cast("long").alias("offset"),
        F.col("at_ms").alias("arrived_at_ms"),
        F.date_format(F.timestamp_millis(F.col("at_ms")), "yyyy-MM").alias("month"),
    )


def _quarantine(staged: DataFrame, now_ms: int) -> DataFrame:
    return staged.where("reason IS NOT NULL").select(
        F.col("file").alias("source"),
        F.col("line").cast("string").alias("place"),
        "reason",
        F.col("text").cast("binary").alias("value"),
        F.lit(now_ms).cast("long").alias("found_at_ms"),
    )


def _write_titles(lake: Lake, catalogue: pa.Table) -> None:
    """Add the titles, in place of those with the same ids; nothing is written when nothing changes."""
    new = lake.spark.createDataFrame(catalogue)
    old = lake.read(tables.TITLES)
    if new.exceptAll(old.select(*new.columns)).isEmpty():
        return
    lake.overwrite(old.join(new, "title_id", "left_anti").unionByName(new), tables.TITLES)


def _signature(layout: Layout) -> list[str]:
    """What changes when a file of the folder does: names, sizes, times."""
    files = [*layout.title_files, *layout.history_files]
    return [layout.name, *(f"{file} {filesystem.ukey(path)}" for file in files for filesystem, path in [locate(file)])]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _remove(url: str) -> None:
    """Remove the staged files; a failure leaves some, which the next import of the folder overwrites."""
    filesystem, path = locate(url)
    try:
        if filesystem.exists(path):
            filesystem.rm(path, recursive=True)
    except OSError:
        log.warning("staged files at %s could not be removed", url, exc_info=True)
