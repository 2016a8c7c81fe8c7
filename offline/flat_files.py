"""Reads one flat file, CSV, gzipped CSV or Parquet, into an Arrow table. Called by the readers of interactions and of genres.

The import into the lake has its own reader (`offline.layouts.files`), which reads in blocks and keeps bad lines apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from shared.errors import InputError


def read_table(path: Path, holds: str, types: Mapping[str, pa.DataType], required: Sequence[str]) -> pa.Table:
    """Read a whole file.

    Parameters
    ----------
    holds : what the file is expected to hold, in words.
    types : of columns, as they are read from CSV; Parquet has its own.

    Raises
    ------
    InputError : the file is missing, of an unknown kind, lacks a required column, or has a line that cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {holds} as .csv, .csv.gz or .parquet")
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            table = pyarrow.csv.read_csv(
                path,
                read_options=pyarrow.csv.ReadOptions(use_threads=False),  # with threads an error does not know its row
                convert_options=pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=False),
            )
        elif path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            raise InputError(f"{path}: unknown kind of file {path.suffix!r}; expected .csv, .csv.gz or .parquet")
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: cannot be read ({str(error).strip()})") from None
    for name in required:
        if name not in table.column_names:
            found = ", ".join(table.column_names) or "none"
            raise InputError(f"{path}: there is no column {name!r}; expected {' and '.join(required)}, found {found}")
    return table
