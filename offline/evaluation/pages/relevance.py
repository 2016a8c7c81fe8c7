"""Whether a page shows what was played next, where the member looks: recall, NDCG and expected reciprocal rank in two dimensions.

A page is a grid; a list's rank has no meaning on it until somebody says how members go over it. Here the browse model does
(`shared.pages.attention`): it gives each cell the chance that it is looked at, and cells are taken to be read in the order of
that chance, so that a page of a single row is judged as a list is. Felicioni, Ferrari Dacrema, Pérez Maurera and Cremonesi,
"Measuring the ranking quality of recommendations in a two-dimensional carousel setting" (IIR 2021), extend NDCG to carousels so,
with an order from two weights set by hand; the browse model has it from clicks, as the carousel click model of Rahdari, Kveton
and Brusilovsky, "From ranked lists to carousels" (2022), proposes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from shared.pages.attention import Attention
from shared.pages.policies.view import Placed
from shared.pages.serving import Indices, Scores

SATISFIED = 0.5
"""Chance that a title that was played ends the search when it is looked at: (2^g - 1) / 2^g_max for grades of 0 and 1."""


@dataclass(frozen=True)
class ShownPage:
    """A page as it is judged.

    Attributes
    ----------
    titles : (rows, cells) int32 title indices, -1 where a row is shorter.
    keys : of the rows, from top to bottom.
    attention : (rows, cells) float32, chance that each cell is looked at.
    """

    titles: Indices
    keys: tuple[str, ...]
    attention: Scores

    @classmethod
    def of(cls, placed: list[Placed], attention: Attention) -> "ShownPage":
        """The page that a policy placed."""
        width = max((len(row.places) for row in placed), default=0)
        titles = np.full((len(placed), width), -1, dtype=np.int32)  # (rows, cells)
        for number, row in enumerate(placed):
            titles[number, : len(row.places)] = row.draft.titles[row.places]
        keys = tuple(row.draft.key for row in placed)
        return cls(titles, keys, attention.matrix[: len(placed), :width])

    @cached_property
    def read(self) -> "Read":
        """The titles in the order in which they are read, each once, where it is looked at first."""
        order = np.argsort(-self.attention, axis=None, kind="stable")  # (rows * cells,); of equal cells the upper left first
        titles = self.titles.ravel()[order]
        chances = self.attention.ravel()[order]
        there = titles >= 0
        titles, chances = titles[there], chances[there]
        _, first = np.unique(titles, return_index=True)
        first.sort()
        return Read(titles[first], chances[first])


class Read(NamedTuple):
    """Titles (n,) int32, the likeliest looked at first, and the chances (n,) float32 that they are."""

    titles: Indices
    chances: Scores


class Relevance(NamedTuple):
    """How a page does for one visit, all in [0, 1]; the columns that `evaluate-pages` prints.

    Attributes
    ----------
    recall : expected share of the wanted titles that a member who goes over the page looks at.
    ndcg : gain 1 / log2(1 + rank) of wanted titles (Järvelin and Kekäläinen 2002) by the order of reading, as a share of the most
        that there could be.
    err : expected reciprocal rank of the title that ends the search (Chapelle, Metzler, Zhang and Grinspan, CIKM 2009, eq. 4),
        Σ_r 1/r R_r Π_{i<r} (1 - R_i), by the order of reading.
    screen : share of the wanted titles on the first screen.
    anywhere : share of the wanted titles on the page at all.
    """

    recall: float
    ndcg: float
    err: float
    screen: float
    anywhere: float


def relevance(page: ShownPage, wanted: Collection[int], visible: tuple[int, int]) -> Relevance:
    """Judge a page by what was played from it or after it.

    Parameters
    ----------
    wanted : title indices, at least one; the same title counts once. One outside the catalogue is a title that no page shows.
    visible : rows and cells of the first screen.

    Raises
    ------
    ValueError : nothing is wanted.
    """
    right = np.unique(np.fromiter(wanted, dtype=np.int64))
    if not len(right):
        raise ValueError("a page cannot be judged by nothing; at least one wanted title is expected")
    titles, chances = page.read
    ranks = 1.0 + np.flatnonzero(np.isin(titles, right))  # (found,)
    found = ranks.astype(np.intp) - 1
    ideal = np.arange(1, len(right) + 1)  # (wanted,)
    misses = np.cumprod(np.full(len(ranks), 1.0 - SATISFIED)) / (1.0 - SATISFIED)  # (found,) none of those before ended it
    screen = page.titles[: visible[0], : visible[1]]
    return Relevance(
        recall=float(chances[found].sum()) / len(right),
        ndcg=float((1.0 / np.log2(1.0 + ranks)).sum() / (1.0 / np.log2(1.0 + ideal)).sum()),
        err=float((SATISFIED * misses / ranks).sum()),
        screen=float(np.isin(right, screen).mean()),
        anywhere=len(ranks) / len(right),
    )
