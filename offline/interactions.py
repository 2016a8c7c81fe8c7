"""Who watched what: the one input of every model and of every evaluation.

Columns or files of `member_id, title_id[, weight][, at_ms][, country]` come in; `Interactions` (a sparse matrix with its
ids) goes out. Called by the training jobs, by `offline.evaluation` and by the tests.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from shared.errors import InputError

Ids = npt.NDArray[np.object_]
"""Ids as Python strings, `(n,)`; an id's position is its index everywhere else."""

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class InteractionRows:
    """Interactions as rows, one for each play or rating, in the order in which they came.

    Parameters
    ----------
    member_ids, title_ids : `(rows,)` strings.
    weight : `(rows,)` confidence, 0 or more; None means 1 each. 0 says "seen, without interest".
    at_ms : `(rows,)` time of the event; None where it is not known.
    country : `(rows,)` country codes, None where not known.
    source : what to call the rows in an error, a file's name for instance.

    Raises
    ------
    InputError : columns differ in length, there are no rows, or a value cannot be; names the first such row, from 1.
    """

    member_ids: pa.Array
    title_ids: pa.Array
    weight: npt.NDArray[np.float32] | None = None
    at_ms: Int64Array | None = None
    country: pa.Array | None = None
    source: str = "interactions"

    def __post_init__(self) -> None:
        set_once = object.__setattr__  # the class is frozen; what follows only brings the columns to their types
        for name in ("member_ids", "title_ids"):
            set_once(self, name, _id_column(getattr(self, name), name.removesuffix("s"), self.source))
        if self.country is not None:
            set_once(self, "country", _string_array(self.country, "country", self.source))
        if self.weight is not None:
            set_once(self, "weight", _weight_column(self.weight, self.source))
        if self.at_ms is not None:
            set_once(self, "at_ms", _time_column(self.at_ms, self.source))
        for name in ("title_ids", "weight", "at_ms", "country"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self):
                raise InputError(f"{self.source}: {name} has {len(column)} rows where member_ids has {len(self)}")
        if not len(self):
            raise InputError(f"{self.source}: there are no rows; expected at least one interaction")

    def __len__(self) -> int:
        return len(self.member_ids)

    def where(self, keep: BoolArray) -> Self:
        """Return the rows for which `keep`, `(rows,)`, is true."""
        return type(self)(
            self.member_ids.filter(pa.array(keep)),
            self.title_ids.filter(pa.array(keep)),
            weight=None if self.weight is None else self.weight[keep],
            at_ms=None if self.at_ms is None else self.at_ms[keep],
            country=None if self.country is None else self.country.filter(pa.array(keep)),
            source=self.source,
        )


@dataclass(frozen=True)
class Interactions:
    """Each member's titles as a sparse matrix, with the ids that give rows and columns their meaning.

    Parameters
    ----------
    member_ids : `(members,)` ids; the position is the member's index.
    title_ids : `(titles,)` ids; the position is the title's index.
    matrix : `(members, titles)` CSR float32 weights, column indices sorted, no entry twice. Stored zeros are
        kept: seen, without interest.
    at_ms : `(entries,)` time of each entry of `matrix.data`, or None.
    country : `(members,)` country codes, None where not known, or None as a whole.
    title_features : `(titles, features)` CSR, an entry for each feature that a title has, such as a genre, or None. With them
        a title without plays, a column without entries, can be recommended.
    """

    member_ids: Ids
    title_ids: Ids
    matrix: sparse.csr_array[np.float32]
    at_ms: Int64Array | None = None
    country: Ids | None = None
    title_features: sparse.csr_array[np.float32] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.member_ids), len(self.title_ids))
        if self.matrix.shape != expected:
            raise InputError(f"interactions: the matrix is {self.matrix.shape} where the ids ask for {expected}")
        if self.at_ms is not None and len(self.at_ms) != self.matrix.nnz:
            raise InputError(f"interactions: {len(self.at_ms)} times for {self.matrix.nnz} entries")
        if self.country is not None and len(self.country) != len(self.member_ids):
            raise InputError(f"interactions: {len(self.country)} countries for {len(self.member_ids)} members")
        if self.title_features is not None and self.title_features.shape[0] != len(self.title_ids):
            raise InputError(
                f"interactions: {self.title_features.shape[0]} rows of title features for {len(self.title_ids)} titles"
            )

    @classmethod
    def from_columns(
        cls,
        member_ids: Any,
        title_ids: Any,
        weight: npt.ArrayLike | None = None,
        at_ms: npt.ArrayLike | None = None,
        country: Any = None,
        *,
        source: str = "interactions",
    ) -> Self:
        """Validate columns (lists, numpy or pyarrow arrays) and index them; see `InteractionRows` and `from_rows`."""
        rows = InteractionRows(
            member_ids,
            title_ids,
            weight=weight,  # type: ignore[arg-type]  # brought to its type, or refused, by InteractionRows
            at_ms=at_ms,  # type: ignore[arg-type]
            country=country,
            source=source,
        )
        return cls.from_rows(rows)

    @classmethod
    def from_rows(cls, rows: InteractionRows) -> Self:
        """Index rows: ids in sorted order, so that the order of the rows does not matter.

        Where a member has a title in several rows, the greatest weight and the latest time are kept. A member's country
        is that of the latest row that names one.
        """
        member_ids, member_index = _encode(rows.member_ids)
        title_ids, title_index = _encode(rows.title_ids)
        cell = member_index * len(title_ids) + title_index  # (rows,)
        order = np.argsort(cell, kind="stable")
        cell = cell[order]
        first = np.flatnonzero(np.diff(cell, prepend=-1))  # (entries,) where each cell's run of rows begins
        weight = np.ones(len(rows), np.float32) if rows.weight is None else rows.weight
        members, titles = np.divmod(cell[first], len(title_ids))
        indptr = np.zeros(len(member_ids) + 1, np.int64)
        np.cumsum(np.bincount(members, minlength=len(member_ids)), out=indptr[1:])
        matrix = sparse.csr_array(
            (np.maximum.reduceat(weight[order], first), titles, indptr), shape=(len(member_ids), len(title_ids))
        )
        at_ms = None if rows.at_ms is None else np.maximum.reduceat(rows.at_ms[order], first)
        country = None if rows.country is None else _latest_country(rows, member_index, len(member_ids))
        return cls(member_ids, title_ids, matrix, at_ms, country)

    @property
    def entry_members(self) -> Int64Array:
        """The member index of each entry of `matrix.data`, `(entries,)`."""
        return np.repeat(np.arange(len(self.member_ids)), np.diff(self.matrix.indptr))

    def where(self, keep: BoolArray) -> Self:
        """Return the same members and titles with only the entries for which `keep`, `(entries,)`, is true."""
        lengths = np.bincount(self.entry_members[keep], minlength=len(self.member_ids))
        matrix = sparse.csr_array(
            (self.matrix.data[keep], self.matrix.indices[keep], np.concatenate([[0], np.cumsum(lengths)])),
            shape=self.matrix.shape,
        )
        return replace(self, matrix=matrix, at_ms=None if self.at_ms is None else self.at_ms[keep])

    def select(self, members: npt.NDArray[np.integer[Any]]) -> Self:
        """Return the rows of some members, in the order asked for; index -1 gives a row without entries."""
        rows = np.asarray(members, np.int64)
        known = rows >= 0
        start = np.where(known, self.matrix.indptr[rows], 0)
        length = np.where(known, np.diff(self.matrix.indptr)[rows], 0)
        indptr = np.concatenate([[0], np.cumsum(length)])
        entry = np.arange(indptr[-1]) + np.repeat(start - indptr[:-1], length)  # (entries,) positions in self
        return type(self)(
            _where_known(known, self.member_ids[rows]),
            self.title_ids,
            sparse.csr_array(
                (self.matrix.data[entry], self.matrix.indices[entry], indptr), shape=(len(rows), len(self.title_ids))
            ),
            None if self.at_ms is None else self.at_ms[entry],
            None if self.country is None else _where_known(known, self.country[rows]),
            self.title_features,
        )

    def on_titles(self, title_ids: Ids) -> Self:
        """Return the same members over another list of titles; entries of titles not in it, and features, are dropped."""
        column = index_of(self.title_ids, title_ids)[self.matrix.indices]  # (entries,)
        kept = np.flatnonzero(column >= 0)
        members = self.entry_members[kept]
        kept = kept[np.lexsort((column[kept], members))]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(members, minlength=len(self.member_ids)))])
        matrix = sparse.csr_array((self.matrix.data[kept], column[kept], indptr), shape=(len(self.member_ids), len(title_ids)))
        return type(self)(self.member_ids, title_ids, matrix, None if self.at_ms is None else self.at_ms[kept], self.country)

    def merged_with(self, other: "Interactions") -> Self:
        """Return the union with `other`, which has the same members and titles row by row and column by column.

        Entries in both keep the greater weight and the later time. Times are kept only where both sides have them.
        """
        if self.matrix.shape != other.matrix.shape:
            raise InputError(f"interactions: cannot merge {self.matrix.shape} with {other.matrix.shape}")
        width = len(self.title_ids)
        cells = np.concatenate([part.entry_members * width + part.matrix.indices for part in (self, other)])
        order = np.argsort(cells, kind="stable")
        cells = cells[order]
        first = np.flatnonzero(np.diff(cells, prepend=-1))
        members, titles = np.divmod(cells[first], width)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(members, minlength=len(self.member_ids)))])
        weight = np.concatenate([self.matrix.data, other.matrix.data])[order]
        at_ms = None
        if self.at_ms is not None and other.at_ms is not None and first.size:
            at_ms = np.maximum.reduceat(np.concatenate([self.at_ms, other.at_ms])[order], first)
        data = np.maximum.reduceat(weight, first) if first.size else weight
        matrix = sparse.csr_array((data, titles, indptr), shape=self.matrix.shape)
        return replace(self, matrix=matrix, at_ms=at_ms)


def index_of(wanted: Ids, known: Ids) -> Int64Array:
    """Return the position in `known` of each of `wanted`, -1 where it is not there."""
    found = pc.index_in(pa.array(wanted, pa.string()), pa.array(known, pa.string()))
    positions: Int64Array = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return positions


def _where_known(known: BoolArray, values: Ids) -> Ids:
    chosen = values.copy()
    chosen[~known] = None
    return chosen


def id_array(values: Sequence[str]) -> Ids:
    """Return ids as the object array that `Interactions` holds."""
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def _encode(column: pa.Array) -> tuple[Ids, Int64Array]:
    """Return the sorted distinct values of a string column, and each row's position among them."""
    encoded = column.dictionary_encode()
    rank = pc.sort_indices(encoded.dictionary).to_numpy()  # dictionary positions in sorted order
    position = np.empty(len(rank), np.int64)
    position[rank] = np.arange(len(rank))
    ids = id_array(encoded.dictionary.take(pa.array(rank)).to_pylist())
    return ids, position[encoded.indices.to_numpy()]


def _latest_country(rows: InteractionRows, member_index: Int64Array, members: int) -> Ids:
    assert rows.country is not None
    named = rows.country.is_valid().to_numpy(zero_copy_only=False)
    at_ms = np.zeros(len(rows), np.int64) if rows.at_ms is None else rows.at_ms
    order = np.flatnonzero(named)
    order = order[np.argsort(at_ms[order], kind="stable")]
    country = np.full(members, None, np.object_)
    # Of several assignments to one place the last one stays, which is the latest row.
    country[member_index[order]] = rows.country.to_numpy(zero_copy_only=False)[order]
    return country


def _string_array(values: Any, name: str, source: str) -> pa.Array:
    try:
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        return array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{source}: {name} cannot be read as strings ({error})") from None


def _id_column(values: Any, name: str, source: str) -> pa.Array:
    array = _string_array(values, name, source)
    blank = pc.fill_null(pc.equal(pc.binary_length(array), 0), True).to_numpy(zero_copy_only=False)
    _refuse(blank, itertools.repeat("missing"), name, "an id", source)
    return array


def _weight_column(values: Any, source: str) -> npt.NDArray[np.float32]:
    weight = _numbers(values, "weight", source)
    wrong = ~np.isfinite(weight) | (weight < 0) | (weight > np.finfo(np.float32).max)
    _refuse(wrong, weight, "weight", "a number of 0 or more", source)
    return weight.astype(np.float32)


def _time_column(values: Any, source: str) -> Int64Array:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":  # whole numbers are taken as they are: float64 would round large ones
        number = _numbers(values, "at_ms", source)
        wrong = ~np.isfinite(number) | (np.abs(np.nan_to_num(number)) >= 2.0**53)
        _refuse(wrong, number, "at_ms", "a whole number of milliseconds", source)
        array = number
    _refuse(array < 0, array, "at_ms", "0 or more", source)
    return array.astype(np.int64)


def _numbers(values: Any, name: str, source: str) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {name} cannot be read as numbers ({error})") from None
    if array.ndim != 1:
        raise InputError(f"{source}: {name} has {array.ndim} dimensions; expected one value a row")
    return array


def _refuse(wrong: BoolArray, values: Any, name: str, expected: str, source: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        value = values[row] if isinstance(values, np.ndarray) else next(iter(values))
        raise InputError(f"{source}: row {row + 1}: {name} is {value}; expected {expected}")
