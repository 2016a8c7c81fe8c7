"""Interactions and plays as published, as play events: read in chunks, validated in bulk, bad lines named one by one.

An interaction or rating becomes a finished play of its title; `weight` keeps the rating. Its event_id is made from
(member, title, time), so that importing twice adds nothing and a row that is there twice counts once.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from offline.layouts.bad_lines import BadLine
from offline.layouts.files import Chunk, TextFormat, read_parquet, read_text
from shared.errors import InputError
from shared.events import LATEST_MS, SECONDS_BELOW_MS
from shared.titles import UNKNOWN_COUNTRY

PLAY_SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("member_id", pa.string()),
        ("title_id", pa.string()),
        ("kind", pa.string()),
        ("session_id", pa.string()),
        ("at_ms", pa.int64()),
        ("position_s", pa.float64()),
        ("runtime_s", pa.float64()),
        ("watched_s", pa.float64()),
        ("device", pa.string()),
        ("country", pa.string()),
        ("page_id", pa.string()),
        ("row", pa.string()),
        ("rank", pa.int32()),
        ("weight", pa.float64()),
    ]
)
IMPORT_SESSION = "import"
UNKNOWN_DEVICE = "unknown"

_KINDS = pa.array(["start", "progress", "stop"])
_ID_CHARACTERS = 256  # as in shared.events
_SECONDS_LIMIT = 1e7
_NOT_NULL = ("event_id", "session_id", "device", "country")
_MAY_BE_NULL = ("page_id", "row", "rank", "weight")
_PLAY_REQUIRED = tuple(name for name in PLAY_SCHEMA.names if name not in _MAY_BE_NULL)

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HistoryFormat:
    """How one layout writes its history.

    `published` gives the published name of a column of ours; `seconds` says that times are Unix seconds; `events` that the
    rows are full play events rather than interactions.
    """

    text: TextFormat = field(default_factory=TextFormat)
    published: dict[str, str] = field(default_factory=dict)
    seconds: bool = False
    events: bool = False


@dataclass(frozen=True)
class HistoryBatch:
    """Some lines of one file: the play events in them (`PLAY_SCHEMA`), and the lines that cannot be used."""

    file: str
    events: pa.RecordBatch
    bad: list[BadLine]


class KnownTitles:
    """The title ids that a history may name, with their running times."""

    def __init__(self, titles: pa.Table, file: str) -> None:
        self.ids: pa.Array = titles["title_id"].combine_chunks()
        self.runtime_s: npt.NDArray[np.float64] = titles["runtime_s"].to_numpy()
        self.file = file

    def find(self, ids: pa.Array) -> npt.NDArray[np.int64]:
        """Index of each title, -1 for one that is not known, (n,) int64."""
        return np.asarray(pc.index_in(ids, self.ids).fill_null(-1)).astype(np.int64)


def read(file: str, layout: HistoryFormat, known: KnownTitles) -> Iterator[HistoryBatch]:
    """Read one file of history.

    Raises
    ------
    InputError : it cannot be read, lacks a column, or has seconds where milliseconds are due on every line of its beginning.
    """
    required, optional = (_PLAY_REQUIRED, _MAY_BE_NULL) if layout.events else (("member_id", "title_id", "at_ms"), ("weight",))
    names = [layout.published.get(name, name) for name in (*required, *optional)]
    split = len(required)
    if file.endswith(".parquet"):
        chunks = read_parquet(file, names[:split], names[split:])
    else:
        chunks = read_text(file, layout.text, names[:split], names[split:])
    first = True
    for chunk in chunks:
        rows = _Rows(file, chunk, layout)
        events = _plays(rows, known) if layout.events else _finished_plays(rows, known)
        if first and rows.all_in_seconds:
            example = rows.reasons[0]
            others = f"; so it is on each of the first {len(rows.ok)} lines" if len(rows.ok) > 1 else ""
            raise InputError(f"{file} line {chunk.lines[0]}: {example}{others}")
        first = first and not len(rows.ok)
        if not rows.ok.all():
            events = events.filter(pa.array(rows.ok))
        yield HistoryBatch(file, events, sorted(chunk.bad + rows.refused(), key=attrgetter("line")))


class _Rows:
    """The rows of one chunk while they are checked: which are still good, and why the others are not."""

    def __init__(self, file: str, chunk: Chunk, layout: HistoryFormat) -> None:
        self.file = file
        self.chunk = chunk
        self.layout = layout
        self.ok: BoolArray = np.ones(len(chunk.lines), dtype=np.bool_)
        self.reasons: dict[int, str] = {}
        self.all_in_seconds = False

    def has(self, column: str) -> bool:
        return self.layout.published.get(column, column) in self.chunk.columns

    def refuse(self, mask: BoolArray, reason: Callable[[int], str]) -> None:
        for row in np.flatnonzero(mask & self.ok).tolist():
            self.reasons[row] = reason(row)
        self.ok &= ~mask

    def refused(self) -> list[BadLine]:
        chunk = self.chunk
        return [
            BadLine(self.file, int(chunk.lines[row]), reason, chunk.text(row)) for row, reason in sorted(self.reasons.items())
        ]

    def cast(self, column: str, kind: pa.DataType, what: str, optional: bool = False) -> pa.Array:
        """A column as the wanted type; rows that cannot be cast are refused. An optional one keeps its nulls."""
        name = self.layout.published.get(column, column)
        raw = self.chunk.columns[name]
        if pa.types.is_dictionary(raw.type):
            raw = raw.dictionary_decode()
        if optional and pa.types.is_string(raw.type):
            raw = pc.if_else(pc.equal(raw, ""), pa.scalar(None, pa.string()), raw)
        bad = np.zeros(len(raw), dtype=np.bool_)
        try:
            values = _cast_where_possible(raw, kind, bad)
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
            raise InputError(f"{self.file}: column {name!r} is of type {raw.type}; {what} is expected") from None
        if not optional:
            bad |= np.asarray(pc.is_null(values))
        self.refuse(bad, lambda row: f"{name} {raw[row].as_py()!r} is not {what}")
        return values

    def text(self, column: str) -> pa.Array:
        """A column of ids or words: not empty, and no longer than an event may have them."""
        name = self.layout.published.get(column, column)
        values = self.cast(column, pa.string(), "text")
        length = np.asarray(pc.utf8_length(values).fill_null(0))
        self.refuse(length == 0, lambda row: f"{name} is empty")
        self.refuse(length > _ID_CHARACTERS, lambda row: f"{name} has {length[row]} characters; at most {_ID_CHARACTERS} are due")
        return values

    def numbers(self, column: str, most: float) -> npt.NDArray[np.float64]:
        """A column of numbers between zero and `most`, (n,) float64."""
        name = self.layout.published.get(column, column)
        values = _filled(self.cast(column, pa.float64(), "a number"))
        self.refuse(np.isnan(values), lambda row: f"{name} is not a number (NaN)")
        self.refuse(values < 0, lambda row: f"{name} {values[row]:g} is negative")
        self.refuse(values > most, lambda row: f"{name} {values[row]:g} is more than {most:g}")
        return values

    def weight(self) -> pa.Array:
        """The optional weight: null in a file without the column, or (in play events) where it is empty."""
        if not self.has("weight"):
            return pa.nulls(len(self.ok), pa.float64())
        given = self.cast("weight", pa.float64(), "a number", optional=self.layout.events)
        values = _filled(given)
        name = self.layout.published.get("weight", "weight")
        self.refuse(np.isnan(values), lambda row: f"{name} is not a number (NaN)")
        self.refuse(values < 0, lambda row: f"{name} {values[row]:g} is negative")
        self.refuse(np.isinf(values), lambda row: f"{name} {values[row]:g} is not a finite number")
        return given

    def times(self) -> npt.NDArray[np.int64]:
        """The events' times in Unix milliseconds, (n,) int64."""
        name = self.layout.published.get("at_ms", "at_ms")
        raw = self.chunk.columns[name]
        if pa.types.is_timestamp(raw.type):
            self.chunk.columns[name] = pc.cast(raw, pa.timestamp("ms"), safe=False).cast(pa.int64())
        given: npt.NDArray[np.int64] = _filled(self.cast("at_ms", pa.int64(), "a whole number"))
        if self.layout.seconds:
            self.refuse((given < 0) | (given >= LATEST_MS // 1000), lambda row: f"{name} {given[row]} is no Unix time in seconds")
            return np.where(self.ok, given, 0) * 1000
        in_seconds = (given > 0) & (given < SECONDS_BELOW_MS)
        self.all_in_seconds = bool(len(given)) and bool((in_seconds & self.ok).all())
        self.refuse(in_seconds, lambda row: f"{name} {given[row]} looks like seconds; milliseconds are due")
        self.refuse((given < 0) | (given >= LATEST_MS), lambda row: f"{name} {given[row]} is no Unix time in milliseconds")
        return given

    def titles(self, known: KnownTitles) -> tuple[pa.Array, npt.NDArray[np.int64]]:
        """The title ids, and their indices in the catalogue."""
        name = self.layout.published.get("title_id", "title_id")
        ids = self.text("title_id")
        index = known.find(ids)
        self.refuse(index < 0, lambda row: f"{name} {ids[row].as_py()!r} is not in {known.file}")
        return ids, index


def _finished_plays(rows: _Rows, known: KnownTitles) -> pa.RecordBatch:
    """Interactions as finished plays."""
    at_ms = rows.times()
    members = rows.text("member_id")
    titles, index = rows.titles(known)
    weight = rows.weight()
    count = len(at_ms)
    runtime_s = pa.array(known.runtime_s[index])
    columns = {
        "event_id": event_ids(members, titles, at_ms),
        "member_id": members,
        "title_id": titles,
        "kind": pa.repeat("stop", count),
        "session_id": pa.repeat(IMPORT_SESSION, count),
        "at_ms": pa.array(at_ms),
        "position_s": runtime_s,
        "runtime_s": runtime_s,
        "watched_s": runtime_s,
        "device": pa.repeat(UNKNOWN_DEVICE, count),
        "country": pa.repeat(UNKNOWN_COUNTRY, count),
        "page_id": pa.nulls(count, pa.string()),
        "row": pa.nulls(count, pa.string()),
        "rank": pa.nulls(count, pa.int32()),
        "weight": weight,
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in PLAY_SCHEMA.names], schema=PLAY_SCHEMA)


def _plays(rows: _Rows, known: KnownTitles) -> pa.RecordBatch:
    """Full play events, under the same rules as on Kafka (`shared.events`)."""
    columns: dict[str, Any] = {"at_ms": rows.times(), "member_id": rows.text("member_id")}
    columns["title_id"], _ = rows.titles(known)
    for name in _NOT_NULL:
        columns[name] = rows.text(name)
    kinds = columns["kind"] = rows.text("kind")
    rows.refuse(
        ~np.asarray(pc.is_in(kinds, _KINDS)),
        lambda row: f"kind {kinds[row].as_py()!r} is none of {', '.join(_KINDS.to_pylist())}",
    )
    for name in ("position_s", "runtime_s", "watched_s"):
        columns[name] = rows.numbers(name, _SECONDS_LIMIT)
    runtime_s = columns["runtime_s"]
    rows.refuse(runtime_s <= 0, lambda row: "runtime_s is 0; a title's running time is positive")
    for name, kind, what in (
        ("page_id", pa.string(), "text"),
        ("row", pa.string(), "text"),
        ("rank", pa.int32(), "a whole number"),
    ):
        columns[name] = rows.cast(name, kind, what, optional=True) if rows.has(name) else pa.nulls(len(rows.ok), kind)
    columns["weight"] = rows.weight()
    return pa.RecordBatch.from_arrays([pa.array(columns[name]) for name in PLAY_SCHEMA.names], schema=PLAY_SCHEMA)


def _cast_where_possible(raw: pa.Array, kind: pa.DataType, bad: BoolArray) -> pa.Array:
    """Cast in bulk; where that fails, in halves, until the values that cannot be cast stand alone: null, and marked bad."""
    try:
        return pc.cast(raw, kind)
    except pa.ArrowInvalid:
        if len(raw) == 1:
            bad[0] = True
            return pa.nulls(1, kind)
        half = len(raw) // 2
        parts = [_cast_where_possible(raw[:half], kind, bad[:half]), _cast_where_possible(raw[half:], kind, bad[half:])]
        return pa.concat_arrays(parts)


def _filled(values: pa.Array) -> npt.NDArray[Any]:
    """The values with zero for null; the rows with null are refused already, or may have it."""
    return np.asarray(values.fill_null(0) if values.null_count else values)


def event_ids(members: pa.Array, titles: pa.Array, at_ms: npt.NDArray[np.int64]) -> pa.Array:
    """128-bit ids in hex from (member, title, time), (n,) string; the same on every machine and in every version.

    Each distinct id is hashed with blake2b; the hashes and the time are then mixed column-wise (splitmix64's finaliser), which
    takes a tenth of the time of a hash a row.
    """
    member_hash = _hash_distinct(members)  # (n, 2)
    title_hash = _hash_distinct(titles)  # (n, 2)
    time_hash = _mix(at_ms.astype(np.uint64))[:, None]  # (n, 1)
    mixed = _mix(member_hash + _mix(title_hash * np.uint64(3) ^ time_hash))  # (n, 2)
    octets = np.ascontiguousarray(mixed.astype(">u8")).view(np.uint8)  # (n, 16)
    data = _HEX[octets].tobytes()
    offsets = np.arange(0, 32 * (len(members) + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(members), pa.py_buffer(offsets), pa.py_buffer(data))


_HEX = np.frombuffer("".join(f"{octet:02x}" for octet in range(256)).encode(), dtype="<u2")  # (256,): two characters each


def _hash_distinct(ids: pa.Array) -> npt.NDArray[np.uint64]:
    coded = ids.fill_null("").dictionary_encode()
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in coded.dictionary.to_pylist())
    distinct = np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64)
    hashes: npt.NDArray[np.uint64] = distinct[np.asarray(coded.indices)]
    return hashes


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finaliser (Steele, Lea and Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
