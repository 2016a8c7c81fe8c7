"""Reads from the lake what the ranker's examples are made of: pages by the snapshot that served them, with each member's events.

impressions, plays, feedback, candidates  →  a row a member and snapshot  →  (ranker_examples)  →  a row a page
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from offline import snapshot_bundle
from offline.ranker_examples import ExampleMaker, Examples, MemberLog, Sampling, known_at_ms
from shared import codecs, tables
from shared.events import SCHEMA_VERSION, Cell, Feedback, Impression, Play
from shared.lake import ArrowFunction, Lake
from shared.pages.features import FEATURES
from shared.snapshots import Manifest, Snapshot
from shared.titles import Catalogue

SETTLED_MS = 4 * 3600 * 1000
"""A page is judged when the newest play is so much later: what was begun from it has ended, and was reported."""
TRAVEL_MS = 7 * 24 * 3600 * 1000
"""Pages of earlier snapshots are left out: Delta's `VACUUM` takes versions that old away by default."""

_MEMBERS_A_BATCH = 200
_PLAY = ("event_id", "title_id", "kind", "session_id", "at_ms", "position_s", "runtime_s", "watched_s", "page_id", "row", "rank")
_FEEDBACK = ("event_id", "title_id", "kind", "at_ms")
_PAGE = ("page_id", "at_ms", "snapshot", "country", "device", "cells")
_FLOATS = ("features", "labels", "weights", "propensities", "blend")
EXAMPLE_COLUMNS = "page LONG, at_ms LONG, " + ", ".join(f"{name} BINARY" for name in _FLOATS)


class Served(NamedTuple):
    """A snapshot that served pages.

    Attributes
    ----------
    version : its name; empty for whatever served pages that name none, or one that nobody knows.
    sources : the version of each table that it was made from.
    """

    version: str
    created_at_ms: int
    sources: Mapping[str, int]


@dataclass(frozen=True)
class PageLog:
    """The newest settled pages.

    Attributes
    ----------
    pages : rows of `silver/impressions`.
    served : the snapshots that made them and can still be read.
    known : the names of all snapshots that are known.
    """

    pages: DataFrame
    served: list[Served]
    known: list[str]


def page_log(lake: Lake, limit: int) -> PageLog:
    """The newest pages that are settled, at most `limit`, and what served them."""
    newest = lake.read(tables.PLAYS).agg(F.max("at_ms").alias("ms")).collect()[0]["ms"] or 0
    settled = lake.read(tables.IMPRESSIONS).where(F.col("at_ms") <= newest - SETTLED_MS)
    pages = settled.orderBy(F.desc("at_ms"), "page_id").limit(limit).persist()
    named = {row["snapshot"] for row in pages.select("snapshot").distinct().collect()}
    known = published(lake)
    served = [known[version] for version in sorted(named & known.keys())]
    readable = [one for one in served if one.created_at_ms >= newest - TRAVEL_MS]
    if named - known.keys():
        readable.append(Served("", 0, {table.name: lake.version(table) for table in snapshot_bundle.SOURCES}))
    return PageLog(pages, readable, [*known])


def published(lake: Lake) -> dict[str, Served]:
    """Every snapshot whose sources can still be read, by its version."""
    if lake.version(tables.ERASED):  # then earlier versions of the tables may have lost their files
        return {}
    made = (F.col("job") == "publish") & (F.col("status") == "done")
    runs = {row["details"]["version"]: row["inputs"] for row in lake.read(tables.RUNS).where(made).collect()}
    notes = lake.read(tables.PUBLISHED).where(F.col("action") == "published").groupBy("version").agg(F.min("at_ms").alias("ms"))
    wanted = [table.name for table in snapshot_bundle.SOURCES]
    return {
        row["version"]: Served(row["version"], row["ms"], {name: runs[row["version"]][name] for name in wanted})
        for row in notes.collect()
        if all(name in runs.get(row["version"], {}) for name in wanted)
    }


def examples(lake: Lake, log: PageLog, depth: int, sampling: Sampling) -> DataFrame:
    """The examples of all pages, a row a page; `read_examples` reads them.

    Parameters
    ----------
    depth : candidates of a member.
    """
    parts = []
    for one in log.served:
        pages = log.pages.where(F.col("snapshot") == one.version if one.version else ~F.col("snapshot").isin(log.known))
        titles = snapshot_bundle.titles(lake, one.sources)
        bundle = codecs.encode_bundle(titles, snapshot_bundle.arrays(lake, one.sources, titles))
        task = _maker(lake.spark.sparkContext.broadcast(bundle), one, depth, sampling)
        tasks = lake.spark.sparkContext.defaultParallelism
        parts.append(_by_member(lake, pages, one).repartition(tasks).mapInArrow(task, EXAMPLE_COLUMNS))
    together = parts[0]
    for part in parts[1:]:
        together = together.unionByName(part)
    return together


def read_examples(batches: Iterable[pa.RecordBatch]) -> Examples:
    """The examples in rows of `EXAMPLE_COLUMNS`."""
    columns: dict[str, list[Any]] = {field.name: [] for field in fields(Examples)}
    for batch in batches:
        for row in batch.to_pylist():
            cells = len(row["labels"]) // 4
            for name in _FLOATS:
                columns[name].append(np.frombuffer(row[name], np.float32))
            columns["pages"].append(np.full(cells, row["page"], np.int64))
            columns["at_ms"].append(np.full(cells, row["at_ms"], np.int64))
    if not columns["labels"]:
        return Examples.none()
    together = {name: np.concatenate(parts) for name, parts in columns.items()}
    together["features"] = together["features"].reshape(-1, len(FEATURES))
    return Examples(**together)


def _by_member(lake: Lake, pages: DataFrame, served: Served) -> DataFrame:
    """One row a member: pages, plays, feedback, and where the snapshot is known the precomputed candidates."""
    shown = pages.groupBy("member_id").agg(F.collect_list(F.struct(*_PAGE)).alias("pages"))
    members = F.broadcast(shown.select("member_id"))

    def events(table: tables.Table, columns: tuple[str, ...], name: str) -> DataFrame:
        rows = lake.read(table).join(members, "member_id", "left_semi")
        return rows.groupBy("member_id").agg(F.collect_list(F.struct(*columns, "arrived_at_ms")).alias(name))

    rows = shown.join(events(tables.PLAYS, _PLAY, "plays"), "member_id", "left")
    rows = rows.join(events(tables.FEEDBACK, _FEEDBACK, "feedback"), "member_id", "left")
    if not served.version:
        nothing = F.lit(None)
        return rows.withColumns({"titles": nothing.cast("array<string>"), "scores": nothing.cast("array<float>")})
    candidates = lake.read(tables.CANDIDATES, served.sources[tables.CANDIDATES.name]).select("member_id", "titles", "scores")
    return rows.join(candidates, "member_id", "left")


def _maker(bundle: Any, served: Served, depth: int, sampling: Sampling) -> ArrowFunction:
    """What a task does with rows of `_by_member`; `bundle` is a broadcast of the snapshot's shared part."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        titles, arrays = codecs.decode_bundle(bundle.value)
        manifest = Manifest(
            version=served.version,
            created_at_ms=served.created_at_ms,
            members=0,
            titles=len(titles),
            candidates_checksum=0,
            bundle_checksum=0,
        )
        maker = ExampleMaker(Snapshot(manifest, Catalogue(titles), arrays), bool(served.version), depth, sampling)
        for batch in batches:
            for start in range(0, batch.num_rows, _MEMBERS_A_BATCH):
                rows = batch.slice(start, _MEMBERS_A_BATCH).to_pylist()
                yield _batch([maker.examples(_member_log(row)) for row in rows])

    return run


def _member_log(row: Mapping[str, Any]) -> MemberLog:
    member = {"schema": SCHEMA_VERSION, "member_id": row["member_id"]}
    events: list[tuple[int, Play | Feedback]] = []
    for one in row["plays"] or ():
        arrived_at_ms = one.pop("arrived_at_ms")
        events.append((known_at_ms(one["at_ms"], arrived_at_ms), Play(**member, **one, device="", country="")))
    for one in row["feedback"] or ():
        arrived_at_ms = one.pop("arrived_at_ms")
        events.append((known_at_ms(one["at_ms"], arrived_at_ms), Feedback(**member, **one)))
    pages = [
        Impression(**member, **{**page, "cells": [Cell(**cell) for cell in page["cells"]]}, fence={}, allocation={})
        for page in row["pages"]
    ]
    return MemberLog(pages, events, None if row["titles"] is None else (row["titles"], row["scores"]))


def _batch(made: list[Examples]) -> pa.RecordBatch:
    """Examples as rows of `EXAMPLE_COLUMNS`."""
    rows = []
    for one in made:
        starts = np.flatnonzero(np.diff(one.pages, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(one.pages)], strict=True):
            floats = {name: np.ascontiguousarray(getattr(one, name)[start:end], np.float32).tobytes() for name in _FLOATS}
            rows.append({"page": int(one.pages[start]), "at_ms": int(one.at_ms[start]), **floats})
    binary = [pa.field(name, pa.binary()) for name in _FLOATS]
    schema = pa.schema([pa.field("page", pa.int64()), pa.field("at_ms", pa.int64()), *binary])
    return pa.RecordBatch.from_pylist(rows, schema)
