"""The catalogue as published: MovieLens's three ways of writing it and Marquee's own, as one table.

A catalogue is read strictly: a line that cannot be used stops the import, since every play refers to it.
"""

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, NamedTuple

import pyarrow as pa

from offline.layouts.files import check_columns, opened, read_parquet
from shared.errors import InputError

UNKNOWN_RUNTIME_S = 5400.0
"""The running time taken for a title that does not say one (MovieLens never does): an hour and a half."""

TITLE_SCHEMA = pa.schema(
    [
        ("title_id", pa.string()),
        ("name", pa.string()),
        ("genres", pa.list_(pa.string())),
        ("released_ms", pa.int64()),
        ("runtime_s", pa.float64()),
        ("countries", pa.list_(pa.string())),
        ("maturity", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("origin", pa.string()),
    ]
)

_REQUIRED = ("title_id", "name", "genres", "released_ms", "runtime_s")
_OPTIONAL = ("countries", "maturity", "tags", "origin")
_LIST_SEPARATOR = "|"
_NO_GENRE = {"", "unknown", "(no genres listed)"}
_ML_100K_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: 1 + at for at, name in enumerate(_MONTH_NAMES)}
_YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*\d{0,4})?\)\s*$")
_ARTICLE = re.compile(
    r"^(?P<name>.+), (?P<article>The|A|An|Les|Le|La|L'|Das|Der|Die|El|Los|Las|Il|Lo|I|Un|Une|Ein|Eine|Det|Den|O|Os)"
    r"(?P<rest> \(.*\))?$"
)
_RELEASE_LIMIT_MS = 10**14  # some 3,000 years either way: more is a unit mistaken


class TitleRow(NamedTuple):
    """One title, in the order of `TITLE_SCHEMA`."""

    title_id: str
    name: str
    genres: list[str]
    released_ms: int | None
    runtime_s: float = UNKNOWN_RUNTIME_S
    countries: Sequence[str] = ()
    maturity: str | None = None
    tags: Sequence[str] = ()
    origin: str | None = None


Placed = tuple[str, int, TitleRow]
"""File, 1-based line, title."""


def build(rows: Iterable[Placed], folder: str) -> pa.Table:
    """The table of all titles, in the order of the files.

    Raises
    ------
    InputError : a title id that comes twice (names both lines), or no title at all.
    """
    first: dict[str, tuple[str, int]] = {}
    titles: list[TitleRow] = []
    for file, line, row in rows:
        if row.title_id in first:
            where, earlier = first[row.title_id]
            place = f"line {earlier}" if where == file else f"{where} line {earlier}"
            raise InputError(f"{file} line {line}: title_id {row.title_id!r} is already on {place}; each title is due once")
        first[row.title_id] = file, line
        titles.append(row)
    if not titles:
        raise InputError(f"{folder}: the data set is empty: no title in it")
    columns = zip(*titles, strict=True)
    return pa.table(
        [pa.array(list(values), field.type) for values, field in zip(columns, TITLE_SCHEMA, strict=True)], TITLE_SCHEMA
    )


def read_ml_100k(file: str) -> Iterator[Placed]:
    """`u.item`: id|name (year)|release date|video date|url|19 genre flags."""
    for line, text in _lines(file):
        values = text.split("|")
        if len(values) != 5 + len(_ML_100K_GENRES):
            raise _refused(file, line, f"has {len(values)} values; {5 + len(_ML_100K_GENRES)} are due", text)
        name, year_ms = split_year(values[1])
        released_ms = _day_ms(file, line, values[2]) if values[2] else year_ms
        genres = [genre for genre, flag in zip(_ML_100K_GENRES, values[5:], strict=True) if flag == "1"]
        yield file, line, _movie(file, line, values[0], name, genres, released_ms)


def read_ml_dat(file: str) -> Iterator[Placed]:
    """`movies.dat`: id::name (year)::genre|genre."""
    for line, text in _lines(file):
        values = text.split("::")
        if len(values) != 3:
            raise _refused(file, line, f"has {len(values)} values between '::'; 3 are due", text)
        name, released_ms = split_year(values[1])
        yield file, line, _movie(file, line, values[0], name, values[2].split(_LIST_SEPARATOR), released_ms)


def read_ml_csv(file: str) -> Iterator[Placed]:
    """`movies.csv`: movieId,title,genres."""
    for line, values in _csv_rows(file, ("movieId", "title", "genres")):
        name, released_ms = split_year(values["title"])
        yield file, line, _movie(file, line, values["movieId"], name, values["genres"].split(_LIST_SEPARATOR), released_ms)


def read_own(file: str) -> Iterator[Placed]:
    """`titles.csv` or `titles.parquet`: title_id,name,genres,released_ms,runtime_s and what `_OPTIONAL` names."""
    rows = _parquet_rows(file) if file.endswith(".parquet") else _csv_rows(file, _REQUIRED)
    for line, values in rows:
        title_id = str(values["title_id"] if values["title_id"] is not None else "").strip()
        if not title_id:
            raise _refused(file, line, "title_id is empty", values)
        runtime_s = _number(file, line, "runtime_s", values, float)
        if runtime_s is not None and not (isfinite(runtime_s) and 0 < runtime_s <= 1e7):
            raise _refused(file, line, f"runtime_s is {runtime_s:g}; seconds above 0 are due", values)
        released_ms = _number(file, line, "released_ms", values, _whole)
        if released_ms is not None and abs(released_ms) > _RELEASE_LIMIT_MS:
            raise _refused(file, line, f"released_ms is {released_ms}; Unix milliseconds are due", values)
        yield (
            file,
            line,
            TitleRow(
                title_id,
                str(values["name"] or title_id),
                [genre for genre in _list(values["genres"]) if genre.lower() not in _NO_GENRE],
                released_ms,
                UNKNOWN_RUNTIME_S if runtime_s is None else runtime_s,
                _list(values.get("countries")),
                _word(values.get("maturity")),
                _list(values.get("tags")),
                _origin(file, line, values),
            ),
        )


def split_year(text: str) -> tuple[str, int | None]:
    """MovieLens's "Matrix, The (1999)" as "The Matrix" and 1 January 1999 in Unix milliseconds (None without a year)."""
    match = _YEAR.search(text)
    name, released_ms = text.strip(), None
    if match is not None and 1800 <= int(match[1]) <= 2200:
        name, released_ms = text[: match.start()].strip(), _midnight_ms(date(int(match[1]), 1, 1))
    if (moved := _ARTICLE.match(name)) is not None:
        space = "" if moved["article"].endswith("'") else " "
        name = f"{moved['article']}{space}{moved['name']}{moved['rest'] or ''}"
    return name, released_ms


def _movie(file: str, line: int, title_id: str, name: str, genres: Sequence[str], released_ms: int | None) -> TitleRow:
    if not title_id.strip():
        raise _refused(file, line, "the title's id is empty", name)
    return TitleRow(title_id.strip(), name, [genre for genre in genres if genre.lower() not in _NO_GENRE], released_ms)


def _midnight_ms(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400_000


def _day_ms(file: str, line: int, text: str) -> int:
    """ml-100k's "01-Jan-1995"; not by strptime, which reads the names of months in the machine's language."""
    try:
        day, month, year = text.split("-")
        return _midnight_ms(date(int(year), _MONTHS[month], int(day)))
    except (ValueError, KeyError):
        raise _refused(file, line, f"release date {text!r} is not like 01-Jan-1995", text) from None


def _text(file: str) -> str:
    """A whole catalogue; the older MovieLens files are Latin-1."""
    with opened(file) as stream:
        data = stream.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _lines(file: str) -> Iterator[tuple[int, str]]:
    for line, text in enumerate(_text(file).split("\n"), start=1):
        if text.strip():
            yield line, text.rstrip("\r")


def _csv_rows(file: str, required: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(_text(file), newline=""))
    names = [name.strip() for name in next(reader, [])]
    check_columns(file, names, required)
    line = reader.line_num + 1
    try:
        for values in reader:
            if values:
                if len(values) != len(names):
                    raise _refused(file, line, f"has {len(values)} values; {len(names)} are due", ",".join(values))
                yield line, dict(zip(names, values, strict=True))
            line = reader.line_num + 1  # a quoted name may run over several lines
    except csv.Error as error:
        raise InputError(f"{file} line {line}: {error}") from None


def _parquet_rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for chunk in read_parquet(file, _REQUIRED, _OPTIONAL):
        columns = [chunk.columns[name].to_pylist() for name in chunk.columns]
        for line, values in zip(chunk.lines.tolist(), itertools.zip_longest(*columns), strict=True):
            yield line, dict(zip(chunk.columns, values, strict=True))


def _number(file: str, line: int, column: str, values: dict[str, Any], parse: Callable[[Any], Any]) -> Any:
    """A number, or None where the file has none."""
    value = values[column]
    if value is None or value == "" or value != value:
        return None
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError):
        raise _refused(file, line, f"{column} {value!r} is not a number", values) from None


def _whole(value: Any) -> int:
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1000)
    if isinstance(value, date):
        return _midnight_ms(value)
    number = float(value)
    if number != int(number):
        raise ValueError
    return int(number)


def _origin(file: str, line: int, values: dict[str, Any]) -> str | None:
    """Where a title was made: an ISO 3166 code in capitals."""
    origin = _word(values.get("origin"))
    if origin is not None and not (len(origin) == 2 and origin.isascii() and origin.isalpha()):
        raise _refused(file, line, f"origin {origin!r} is not a country's code of two letters such as DK", values)
    return None if origin is None else origin.upper()


def _word(value: Any) -> str | None:
    return (str(value).strip() or None) if value is not None and value == value else None


def _list(value: Any) -> list[str]:
    parts = value.split(_LIST_SEPARATOR) if isinstance(value, str) else (value or [])
    return list(dict.fromkeys(str(part).strip() for part in parts if part is not None and str(part).strip()))


def _refused(file: str, line: int, reason: str, text: object) -> InputError:
    return InputError(f"{file} line {line}: {reason}; the line is {str(text)[:200]!r}")
