"""Exact scores of members on titles, ranked: what `factor_topk` ends in, for the titles that a screen left or for all.

A score is the product summed in float64 and rounded to float32; equal ones rank by the title's index. So it depends on the
two vectors alone: not on a tile, nor on who else is ranked.
"""

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from offline.models import topk_kernels
from offline.models.topk import Exclude, TopK
from offline.models.topk_kernels import Found

FloatArray = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

NO_KEY = np.iinfo(np.int64).max


class Seen(NamedTuple):
    """What is left out: CSR rows, `(members + 1,)` int64 starts and `(entries,)` int32 titles."""

    starts: Int64Array
    titles: npt.NDArray[np.int32]

    @classmethod
    def of(cls, exclude: Exclude, members: int) -> "Seen":
        """The stored entries of `exclude`, `(members, titles)`."""
        if exclude is None:
            return cls(np.zeros(members + 1, np.int64), np.zeros(0, np.int32))
        return cls(exclude.indptr.astype(np.int64, copy=False), exclude.indices.astype(np.int32, copy=False))

    @property
    def counts(self) -> Int64Array:
        """Entries of each member, `(members,)`."""
        return np.diff(self.starts)


class _Marks(threading.local):
    """A number for each title, of each thread its own."""

    def __init__(self, titles: int) -> None:
        self.marks, self.next = np.zeros(titles, np.int64), 0


class ExactRanking:
    """Ranks titles that were found for some members.

    Parameters
    ----------
    vectors, titles : `(members, factors)` and `(titles, factors)` float32, C-contiguous.
    k : how many titles are asked for.
    """

    def __init__(self, vectors: FloatArray, titles: FloatArray, k: int, seen: Seen) -> None:
        self.vectors, self.titles, self.seen = vectors, titles, seen
        self.width = min(k, len(titles))
        self.best = TopK(np.full((len(vectors), k), -1, np.int32), np.full((len(vectors), k), -np.inf, np.float32))
        self._marks = _Marks(len(titles))
        self._itself = np.arange(len(titles), dtype=np.int32)

    def rank_found(
        self, rows: Int64Array, found: Found, title_of: npt.NDArray[np.int32], offset: npt.NDArray[np.float64]
    ) -> None:
        """Rank what was found for the members `rows`, and write it to `best`; `found` is used up.

        Parameters
        ----------
        title_of : title of each number in `found.titles`; -1 is none.
        offset : `(rows,)`, what approximate scores lack.
        """
        marks = self._marks
        topk_kernels.leave_out(found, title_of, *self.seen, rows, marks.marks, marks.next)
        marks.next += len(rows)
        keys = np.empty((len(rows), max(self.width, int(found.counts.max()))), np.int64)
        topk_kernels.rank_exactly(self.vectors[rows], self.titles, self.width, offset, found, keys)
        keys = keys[:, : max(self.width, int(found.counts.max()))]
        keys.sort(axis=1)
        self._write(rows, keys[:, : self.width])

    def rank_all(self, rows: Int64Array) -> None:
        """Rank all titles for the members `rows`, and write the best to `best`."""
        shape = len(rows), len(self.titles)
        found = Found(
            np.tile(self._itself, (len(rows), 1)),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.full(len(rows), len(self.titles)),
        )
        marks = self._marks
        topk_kernels.leave_out(found, self._itself, *self.seen, rows, marks.marks, marks.next)
        marks.next += len(rows)
        keys = np.empty(shape, np.int64)
        topk_kernels.rank_exactly(self.vectors[rows], self.titles, self.width, np.zeros(len(rows)), found, keys)
        if self.width < len(self.titles):
            keys = np.partition(keys, self.width - 1, axis=1)[:, : self.width]
        keys.sort(axis=1)
        self._write(rows, keys)

    def _write(self, rows: Int64Array, keys: Int64Array) -> None:
        """Undo `topk_kernels._key`; `keys` is `(rows, width)`, in order."""
        upper = ~(keys >> 32)
        scores = np.where(upper < 0, upper ^ 0x7FFFFFFF, upper).astype(np.int32).view(np.float32)
        found = keys != NO_KEY
        self.best.titles[rows, : self.width] = np.where(found, keys & 0xFFFFFFFF, -1)
        self.best.scores[rows, : self.width] = np.where(found, scores, -np.inf)
