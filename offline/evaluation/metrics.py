"""Which metrics there are, by name, and their values for a block of ranked lists.

Of a member (see `ranking`, `shown` and `genres`):

    recall, precision, hr, ndcg, mrr, map   whether the right titles are on top
    novelty             mean self-information of the titles shown, in bits
    popularity          mean percentile of their popularity
    popularity-lift     how much more popular they are than the member's history, as a share of it
    diversity           mean over pairs of titles of 1 - cosine of who has played them
    genre-diversity     mean over pairs of titles of 1 - cosine of their genres
    calibration         divergence of the history's genres from the list's; the less, the better

Of the catalogue (see `exposure`): coverage, gini.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from offline.evaluation import genres, shown
from offline.evaluation.exposure import Exposure
from offline.evaluation.ranking import MEMBER_METRICS, FloatArray
from offline.interactions import BoolArray, Int64Array, Interactions
from shared.errors import InputError


class Lists(NamedTuple):
    """One block of lists: `titles` and `hits` are `(members, depth)`, `relevant` is `(members,)`, `histories` has a row each."""

    titles: shown.Shown
    hits: BoolArray
    relevant: Int64Array
    histories: shown.Sparse


class Background:
    """What metrics know of the titles: who played them in training, and their genres where these are given."""

    def __init__(self, train: Interactions, of_titles: genres.Genres | None) -> None:
        self.plays = shown.Plays(train)
        self._title_ids, self._genres = train.title_ids, of_titles

    @cached_property
    def genre_shares(self) -> shown.Sparse:
        """`(titles, genres)`."""
        if self._genres is None:
            raise InputError("metrics of genres need a file of titles (--titles), which is not given")
        return genres.genre_shares(self._genres, self._title_ids)

    @cached_property
    def genre_vectors(self) -> shown.Sparse:
        """`(titles, genres)`, rows of length 1."""
        return shown.unit_rows(self.genre_shares)


LIST_METRICS: dict[str, Callable[[Lists, Background, int], FloatArray]] = {
    "novelty": lambda lists, known, k: shown.novelty(lists.titles[:, :k], known.plays),
    "popularity": lambda lists, known, k: shown.popularity(lists.titles[:, :k], known.plays),
    "popularity-lift": lambda lists, known, k: shown.popularity_lift(lists.titles[:, :k], known.plays, lists.histories),
    "diversity": lambda lists, known, k: shown.diversity(lists.titles[:, :k], known.plays.audience),
    "genre-diversity": lambda lists, known, k: shown.diversity(lists.titles[:, :k], known.genre_vectors),
    "calibration": lambda lists, known, k: genres.calibration(lists.titles[:, :k], lists.histories, known.genre_shares),
}
CATALOGUE_METRICS: dict[str, Callable[[Exposure], FloatArray]] = {"coverage": Exposure.coverage, "gini": Exposure.gini}
OF_GENRES = ("genre-diversity", "calibration")
NAMES = (*MEMBER_METRICS, *LIST_METRICS, *CATALOGUE_METRICS)


@dataclass(frozen=True)
class Metric:
    """One metric at one cut, such as `recall@20`."""

    name: str
    k: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `recall@20`.

        Raises
        ------
        InputError : an unknown metric, or no cut of at least 1.
        """
        match = re.fullmatch(r"([a-z-]+)@([1-9][0-9]*)", text.strip())
        if match is None or match[1] not in NAMES:
            raise InputError(f"unknown metric {text.strip()!r}; expected one of {', '.join(NAMES)} with a cut, as recall@20")
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @property
    def of_hits(self) -> bool:
        """Whether it says if the right titles are on top."""
        return self.name in MEMBER_METRICS

    @property
    def of_catalogue(self) -> bool:
        """Whether it is one figure of all lists together, and none of a member."""
        return self.name in CATALOGUE_METRICS


def parse_metrics(texts: Sequence[str]) -> list[Metric]:
    """Read metrics, each once.

    Raises
    ------
    InputError : none is asked for, or one is unknown.
    """
    wanted = list(dict.fromkeys(Metric.parse(text) for text in texts))
    if not wanted:
        raise InputError("no metrics are asked for; expected at least one, as recall@20")
    return wanted


def member_values(lists: Lists, metrics: Sequence[Metric], known: Background) -> FloatArray:
    """The values of metrics of members, `(members, metrics)`; NaN where one has no meaning for a member.

    A member with no relevant title has no value of the metrics of hits.
    """
    values = np.empty((len(lists.titles), len(metrics)))
    asked = lists.relevant > 0
    for column, metric in enumerate(metrics):
        if metric.of_hits:
            found = MEMBER_METRICS[metric.name](lists.hits, np.maximum(1, lists.relevant), metric.k)
            values[:, column] = np.where(asked, found, np.nan)
        else:
            values[:, column] = LIST_METRICS[metric.name](lists, known, metric.k)
    return values
