"""Reads and writes interaction files: `member_id,title_id[,weight][,at_ms][,country]` as CSV, gzipped CSV or Parquet.

Called by `offline evaluate` and by benchmarks; the import into the lake has its own reader, which quarantines.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from offline.flat_files import read_table
from offline.interactions import InteractionRows
from shared.errors import InputError
from shared.whole_files import replaced, writable

COLUMNS = {
    "member_id": pa.string(),
    "title_id": pa.string(),
    "weight": pa.float64(),
    "at_ms": pa.int64(),
    "country": pa.string(),
}
"""The columns that are read, with their types; the first two are required, others in the file are left alone."""


def read_interactions(path: str | Path) -> InteractionRows:
    """Read one file.

    Raises
    ------
    InputError : the file is missing, of an unknown kind, lacks a required column, or has a line that cannot be read.
    """
    path = Path(path)
    table = read_table(path, "interactions", COLUMNS, ("member_id", "title_id"))
    columns = {name: _column(table, name, path) for name in COLUMNS if name in table.column_names}
    return InteractionRows(
        columns["member_id"],
        columns["title_id"],
        weight=_numpy(columns.get("weight")),
        at_ms=_numpy(columns.get("at_ms")),
        country=columns.get("country"),
        source=str(path),
    )


def write_interactions(path: Path, rows: InteractionRows) -> None:
    """Write rows as a Parquet file that `read_interactions` takes, whole or not at all.

    Raises
    ------
    InputError : the file cannot be written.
    """
    columns = {name: getattr(rows, name.replace("_id", "_ids")) for name in COLUMNS}
    table = pa.table({name: pa.array(column) for name, column in columns.items() if column is not None})
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            pyarrow.parquet.write_table(table, temporary)


def _column(table: pa.Table, name: str, path: Path) -> pa.Array:
    column = table.column(name).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if name in ("weight", "at_ms") and column.null_count:
        row = column.is_null().index(True).as_py() + 1
        raise InputError(f"{path}: row {row}: {name} is missing; expected a number in every row or no such column")
    try:
        return column.cast(COLUMNS[name])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{path}: column {name!r} holds {column.type}; expected {COLUMNS[name]} ({error})") from None


def _numpy(column: pa.Array | None):  # type: ignore[no-untyped-def]  # pyarrow has no types; InteractionRows checks it
    return None if column is None else column.to_numpy(zero_copy_only=False)
