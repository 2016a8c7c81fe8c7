"""Looks into the files of a Delta table, those that only earlier versions name and the table's log included."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pyarrow.parquet as pq
from pyspark.sql import Column
from pyspark.sql import functions as F

from shared.lake import Lake, schema
from shared.tables import Table


@contextmanager
def readable_as_files(lake: Lake) -> Iterator[None]:
    """Let the files of tables be read as what they are, which Delta refuses by default."""
    with lake.setting("spark.databricks.delta.formatCheck.enabled", "false"):
        yield


def data_files_with(lake: Lake, table: Table, condition: Column) -> int:
    """How many data files on disk have a row that meets a condition on the table's personal columns.

    To be called within `readable_as_files`.
    """
    columns = [f"{field.name} {field.dataType.simpleString()}" for field in schema(table) if field.name in table.personal]
    rows = (
        lake.spark.read.format("parquet")
        .schema(", ".join(columns))
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*.parquet")
        .load(lake.path(table))
    )
    return rows.where(condition).select(F.col("_metadata.file_path").alias("file")).distinct().count()


def log_files_with(lake: Lake, table: Table, value: str) -> int:
    """How many files of the table's log keep a value, as the smallest or greatest of a data file."""
    filesystem, path = fsspec.core.url_to_fs(f"{lake.path(table)}/_delta_log")
    needle = json.dumps(value, ensure_ascii=False)
    return sum(any(needle in stats for stats in _statistics(filesystem, file)) for file in filesystem.find(path))


def _statistics(filesystem: fsspec.AbstractFileSystem, file: str) -> Iterator[str]:
    if file.endswith(".json"):
        for line in filesystem.cat_file(file).decode().splitlines():
            yield (json.loads(line).get("add") or {}).get("stats") or ""
    elif file.endswith(".parquet"):
        with filesystem.open(file, "rb") as handle:
            for action in pq.read_table(handle, columns=["add"])["add"].to_pylist():
                yield (action or {}).get("stats") or ""
