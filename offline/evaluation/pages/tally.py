"""Gathers what is found of one way to make pages, member by member."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from offline.evaluation.bootstrap import FloatArray
from offline.evaluation.exposure import Exposure
from offline.evaluation.pages.relevance import Relevance, ShownPage
from offline.evaluation.pages.variety import Variety

FIGURES = (*Relevance._fields, *Variety._fields)
"""What is known of every page; the columns of `Tally.values`."""
COVERAGES = ("title_coverage", "row_coverage")
"""What is known of all pages together: the share of the catalogue's titles, and of the rows drafted, that anybody saw."""


class Tally:
    """One way's figures.

    Parameters
    ----------
    titles : in the catalogue.
    """

    def __init__(self, titles: int) -> None:
        self._titles = titles
        self._values: list[FloatArray] = []
        self._shown: list[npt.NDArray[np.int32]] = []
        self._rows: list[set[str]] = []
        self._of_member: list[tuple[float, ...]] = []
        self._titles_of_member: set[int] = set()
        self._rows_of_member: set[str] = set()

    def add(self, page: ShownPage, relevance: Relevance, variety: Variety) -> None:
        """Take in a page of the member at hand."""
        self._of_member.append((*relevance, *variety))
        self._titles_of_member.update(page.titles[page.titles >= 0].tolist())
        self._rows_of_member.update(page.keys)

    def end_member(self) -> None:
        """Turn to the next member; one without a page does not count."""
        if not self._of_member:
            return
        self._values.append(_mean(np.array(self._of_member, dtype=np.float64)))
        self._shown.append(np.array(sorted(self._titles_of_member), dtype=np.int32))
        self._rows.append(self._rows_of_member)
        self._of_member, self._titles_of_member, self._rows_of_member = [], set(), set()

    @property
    def values(self) -> FloatArray:
        """Each member's means over their pages, (members, figures); NaN where a figure says nothing."""
        return np.array(self._values).reshape(-1, len(FIGURES))

    def coverages(self, rows: Iterable[str], seed: int) -> dict[str, FloatArray]:
        """Of titles and of rows, (1 + resamples,) each: the figure, then that of each resample of the members.

        Parameters
        ----------
        rows : keys of the rows that were drafted for anybody.
        """
        places = {key: place for place, key in enumerate(sorted(rows))}
        of_rows = [np.array([places[key] for key in sorted(keys)], dtype=np.int32) for keys in self._rows]
        counts = (self._shown, self._titles), (of_rows, len(places))
        return {name: _coverage(*each, seed) for name, each in zip(COVERAGES, counts, strict=True)}


def _coverage(shown: list[npt.NDArray[np.int32]], count: int, seed: int) -> FloatArray:
    width = max((len(one) for one in shown), default=0)
    lists = np.full((len(shown), width), -1, dtype=np.int32)  # (members, width)
    for row, one in zip(lists, shown, strict=True):
        row[: len(one)] = one
    exposure = Exposure(count, width, seed)
    exposure.add(lists)
    return exposure.coverage()


def _mean(values: FloatArray) -> FloatArray:
    """Column means without NaN, NaN for a column of nothing else."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean
