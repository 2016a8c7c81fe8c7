"""Files as they were published, in chunks of columns: delimited text (also gzipped) and Parquet, local or any fsspec URL.

`read_text` and `read_parquet` feed `offline.layouts.history`. Text is cut into blocks at line ends, so that every row's line
number is known; a block goes through pyarrow's parser, and only one in which something is wrong is parsed again line by
line, to find out which line it is.
"""

import csv
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from offline.layouts.bad_lines import TEXT_CHARACTERS, BadLine
from shared.errors import InputError

BLOCK_BYTES = 4 << 20
BATCH_ROWS = 131_072
LINE_BYTES = 1 << 20
"""A line longer than this says that the file is no text in lines."""
SUFFIXES = (".csv", ".csv.gz", ".parquet")
_SLOW_LINES = 2000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class TextFormat:
    """How a text file is written; `columns` None says that its first line names them."""

    delimiter: str = ","
    columns: tuple[str, ...] | None = None
    quoted: bool = True


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file: columns as published (n rows each), their line numbers (n,), and the lines that cannot be split.

    `text(i)` is row i as it stands in the file.
    """

    columns: dict[str, pa.Array]
    lines: npt.NDArray[np.int64]
    bad: list[BadLine]
    text: Callable[[int], str]


def locate(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a path or URL, and the path in it.

    Raises
    ------
    InputError : nothing here reads such URLs.
    """
    try:
        filesystem, inner = fsspec.core.url_to_fs(path)
    except (ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be read here: {error}") from None
    return filesystem, inner


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """The file's bytes, unzipped where its name ends in .gz.

    Raises
    ------
    InputError : it cannot be opened, or fails while being read.
    """
    try:
        filesystem, path = locate(file)
        with filesystem.open(path, "rb", compression="gzip" if file.endswith(".gz") else None) as stream:
            yield stream
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: cannot be read ({error})") from None


def check_columns(file: str, found: Sequence[str], required: Sequence[str]) -> None:
    """Refuse a file that lacks a column, or names one twice.

    Raises
    ------
    InputError : naming file, what is missing and what was found.
    """
    if missing := [name for name in required if name not in found]:
        raise InputError(f"{file}: lacks the column {missing[0]!r}; expected {', '.join(required)}, found {', '.join(found)}")
    if twice := [name for name in found if found.count(name) > 1]:
        raise InputError(f"{file}: names the column {twice[0]!r} twice; found {', '.join(found)}")


def read_text(file: str, layout: TextFormat, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Chunk]:
    """Read the wanted columns of a text file, all of them as strings. An optional column that is not there is left out."""
    names = layout.columns
    for first_line, block in _blocks(file):
        if names is None:  # the first line; headers are short, and alone in their block
            names = tuple(name.strip() for name in _split(block.decode("utf-8", "replace").rstrip("\n"), layout))
            check_columns(file, names, required)
            continue
        wanted = [name for name in (*required, *optional) if name in names]
        yield from _parse(file, block, first_line, layout, names, wanted)


def read_parquet(file: str, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Chunk]:
    """Read the wanted columns of a Parquet file, with the types they have there."""
    first = 1
    try:
        with opened(file) as stream:
            source = pq.ParquetFile(stream)
            check_columns(file, source.schema_arrow.names, required)
            wanted = [name for name in (*required, *optional) if name in source.schema_arrow.names]
            for batch in source.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
                columns = {name: batch.column(name) for name in wanted}
                yield Chunk(columns, np.arange(first, first + batch.num_rows), [], _row_text(batch))
                first += batch.num_rows
    except pa.ArrowInvalid as error:
        raise InputError(f"{file}: is not a whole Parquet file ({str(error).splitlines()[0]})") from None


def _row_text(batch: pa.RecordBatch) -> Callable[[int], str]:
    return lambda row: json.dumps(batch.slice(row, 1).to_pylist()[0], default=str, ensure_ascii=False)[:TEXT_CHARACTERS]


def _blocks(file: str) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines, each with the number of its first line; line 1 comes as a block of its own."""
    line = 1
    rest = b""
    with opened(file) as stream:
        while True:
            data = stream.read(BLOCK_BYTES)
            if line == 1 and not rest:
                data = data.removeprefix(_BYTE_ORDER_MARK)
            ended = not data
            data = rest + data
            cut = len(data) if ended else (data.find(b"\n") if line == 1 else data.rfind(b"\n")) + 1
            if len(data) - cut > LINE_BYTES and b"\n" not in data[cut:]:
                raise InputError(f"{file} line {line}: is longer than {LINE_BYTES} bytes; text in lines is expected")
            block, rest = data[:cut], data[cut:]
            if block:
                # a carriage return that ends no line would be a line end to pyarrow
                yield line, block.replace(b"\r\n", b"\n").replace(b"\r", b" ") if b"\r" in block else block
                line += block.count(b"\n")
            if ended:
                return


def _split(line: str, layout: TextFormat) -> list[str]:
    if not layout.quoted:
        return line.split(layout.delimiter)
    try:
        return next(csv.reader([line], delimiter=layout.delimiter), [""])
    except csv.Error:  # a value longer than the module takes
        return []


def _parse(
    file: str, block: bytes, first_line: int, layout: TextFormat, names: tuple[str, ...], wanted: list[str]
) -> Iterator[Chunk]:
    """A block in bulk; where something is wrong in it, its halves, and at last a short piece line by line."""
    count = block.count(b"\n") + (not block.endswith(b"\n"))
    table = _parse_fast(block, layout, names, wanted)
    if table is not None and table.num_rows == count:
        columns = {name: table.column(name).combine_chunks() for name in wanted}
        yield Chunk(columns, np.arange(first_line, first_line + count), [], _line_text(block))
    elif count <= _SLOW_LINES:  # a blank line, a stray quote, a wrong number of values, not UTF-8
        yield _parse_slow(file, block, first_line, layout, names, wanted)
    else:
        cut = block.find(b"\n", len(block) // 2) + 1
        if not cut or cut == len(block):
            cut = block.rfind(b"\n", 0, len(block) // 2) + 1
        if not cut:
            yield _parse_slow(file, block, first_line, layout, names, wanted)
            return
        yield from _parse(file, block[:cut], first_line, layout, names, wanted)
        yield from _parse(file, block[cut:], first_line + block.count(b"\n", 0, cut), layout, names, wanted)


def _line_text(block: bytes) -> Callable[[int], str]:
    lines = cache(lambda: block.split(b"\n"))
    return lambda row: lines()[row].decode("utf-8", "replace")[:TEXT_CHARACTERS]


def _parse_fast(block: bytes, layout: TextFormat, names: tuple[str, ...], wanted: list[str]) -> pa.Table | None:
    delimiter = layout.delimiter
    if len(delimiter) > 1:
        if b"\t" in block:
            return None
        block, delimiter = block.replace(delimiter.encode(), b"\t"), "\t"
    try:
        return pacsv.read_csv(
            pa.BufferReader(block),
            pacsv.ReadOptions(column_names=list(names), use_threads=False, block_size=len(block) + 1),
            pacsv.ParseOptions(delimiter=delimiter, quote_char='"' if layout.quoted else False),
            pacsv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted),
        )
    except pa.ArrowInvalid:
        return None


def _parse_slow(file: str, block: bytes, first_line: int, layout: TextFormat, names: tuple[str, ...], wanted: list[str]) -> Chunk:
    rows: list[list[str]] = []
    texts: list[str] = []
    lines: list[int] = []
    bad: list[BadLine] = []
    places = [names.index(name) for name in wanted]
    for line, raw in enumerate(block.removesuffix(b"\n").split(b"\n"), start=first_line):
        if not raw.strip():
            continue
        text = raw.decode("utf-8", "replace")
        values = _split(text, layout)
        if len(values) != len(names):
            bad.append(BadLine(file, line, f"has {len(values)} values; {len(names)} are due", text[:TEXT_CHARACTERS]))
        elif "�" in text and not _is_utf8(raw):
            bad.append(BadLine(file, line, "is not UTF-8", text[:TEXT_CHARACTERS]))
        else:
            rows.append([values[place] for place in places])
            texts.append(text[:TEXT_CHARACTERS])
            lines.append(line)
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(wanted)}
    return Chunk(columns, np.array(lines, dtype=np.int64), bad, texts.__getitem__)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
