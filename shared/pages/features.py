"""What the ranker looks at: numbers about titles for one member and one request. Pure.

`offline.ranker_examples` calls `features` for cells that were shown, `online` for the pool of a request, so that training and
serving cannot disagree. What only depends on the title, the country and the day is worked out once (`TitleColumns`); the rest is
a few array operations over the pool, whatever the size of the catalogue.
"""

import math
from collections.abc import Sequence
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.pages.blending import SOURCES
from shared.pages.request import Request
from shared.pages.serving import Indices, Scores, Serving
from shared.state import (
    ABANDONED_AFTER_MS,
    ABANDONED_PERCENT,
    FINISHED_PERCENT,
    PLAYED_LIMIT,
    STARTED_PERCENT,
    MemberState,
)
from shared.tastes import ABANDONED_WEIGHT, LONG_HALF_LIFE_MS, SHORT_HALF_LIFE_MS, THUMB_WEIGHT

DAY_MS = 86_400_000
DEVICES: Final = ("tv", "phone", "tablet", "web")
"""Devices with a feature each; any other is `device_other`."""

_OF_TITLE = ("popularity", "popularity_in_country", "trending_rank", "log_age_days", "is_age_unknown", "log_runtime_h")
_OF_TASTE = ("genre_taste_short", "genre_taste_long")
_OF_MARKS = ("watched_share", "is_in_progress", "is_on_my_list", "thumb")
_OF_REQUEST = (
    "hour_sin", "hour_cos", *(f"device_{device}" for device in DEVICES), "device_other", "log_history", "log_idle_days",
)  # fmt: skip
POSITION: Final = ("log_row", "log_rank")
"""The place on the page, the last of the features: log(1 + row_index) and log(1 + rank), 0 for the first cell."""

FEATURES: Final = (*(f"source_{name}" for name in SOURCES), *_OF_TITLE, *_OF_TASTE, *_OF_MARKS, *_OF_REQUEST, *POSITION)
"""The columns of `features`, in their order. A ranker keeps the names that it was trained with, and serves no others.

source_*                 each source's own score, in [0, 1]; 0 where it does not name the title
popularity, …_rank       1 for the first title of the list down to 0 for the last, by the logarithm of the rank
log_age_days             log(1 + days since the release); 0 where unknown or not yet released
genre_taste_*            cosine between the member's decayed taste by genre and the title's genres, -1 to 1
watched_share            how far in the title the member is; is_in_progress: begun, and not finished
thumb                    1 up, -1 down, 0 none
hour_sin, hour_cos       the hour of the day in UTC, as an angle
log_history              log(1 + titles played); log_idle_days: log(1 + days since the newest event), 0 for an empty state
"""

_SOURCES = slice(0, len(SOURCES))
_TITLE = slice(_SOURCES.stop, _SOURCES.stop + len(_OF_TITLE))
_TASTE = slice(_TITLE.stop, _TITLE.stop + len(_OF_TASTE))
_MARKS = slice(_TASTE.stop, _TASTE.stop + len(_OF_MARKS))
_REQUEST = slice(_MARKS.stop, _MARKS.stop + len(_OF_REQUEST))
_POSITION = slice(_REQUEST.stop, _REQUEST.stop + len(POSITION))

_WATCHED, _BEGUN, _LISTED, _THUMB = range(len(_OF_MARKS))
_PER_HALF_LIFE = -1.0 / np.array([[SHORT_HALF_LIFE_MS], [LONG_HALF_LIFE_MS]])  # (2, 1)
_TABLES_KEPT = 256
"""Tables of countries and days that a process keeps: a server has a few, a replay goes through many."""


class TitleColumns:
    """What the features need of a snapshot's titles. Read by many threads."""

    def __init__(self, serving: Serving) -> None:
        self._popularity = _by_log_rank(serving.popular_order(None), serving.count)  # (titles,)
        self._in_country = {country: _by_log_rank(serving.popular_order(country), serving.count) for country in serving.countries}
        self._trending = _by_log_rank(serving.trending, serving.count)  # (titles,)
        self._is_age_unknown = serving.released_ms == np.iinfo(np.int64).min  # (titles,)
        self._released_ms = np.where(self._is_age_unknown, 0, serving.released_ms)  # (titles,)
        self._log_runtime_h = np.log1p(np.array(serving.runtimes_s, dtype=np.float32) / 3600)  # (titles,)
        self._tables: dict[tuple[str | None, int], Scores] = {}
        genres = serving.genre_titles.T.astype(np.float32, order="C")  # (titles, genres)
        each = np.maximum(genres.sum(axis=1, keepdims=True), 1)
        shares = genres / each  # (titles, genres), as `shared.tastes` shares a title among its genres
        self.genre_shares: Scores = np.concatenate([shares, np.zeros((1, len(serving.genres)), np.float32)])
        self.genres: Scores = genres / np.sqrt(each)  # (titles, genres), of unit length

    def table(self, country: str | None, at_ms: int) -> Scores:
        """Of each title the features that the country and the day decide, (6, titles). Not to be written to."""
        country = country if country in self._in_country else None
        key = country, at_ms // DAY_MS
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _TABLES_KEPT:
                self._tables.clear()
            table = self._tables[key] = self._made(country, key[1])
        return table

    def _made(self, country: str | None, day: int) -> Scores:
        age_days = np.maximum(0.0, day - self._released_ms / DAY_MS) * ~self._is_age_unknown  # (titles,)
        in_country = self._popularity if country is None else self._in_country[country]
        columns = (self._popularity, in_country, self._trending, np.log1p(age_days), self._is_age_unknown, self._log_runtime_h)
        return np.stack(columns).astype(np.float32)


def features(
    serving: Serving,
    state: MemberState,
    request: Request,
    titles: Indices,
    source_scores: Scores,
    positions: npt.NDArray[np.integer] | None = None,
) -> Scores:
    """The features of some titles for one member and request.

    Parameters
    ----------
    titles : (n,) title indices.
    source_scores : (sources, n), as `shared.pages.blending.Pool` has them.
    positions : (n, 2) row_index and rank of each title where it was shown; None at serving, which puts all in the first cell.

    Returns
    -------
    (n, features) float32, columns as in `FEATURES`.
    """
    columns = serving.once(TitleColumns)
    at = titles.astype(np.intp)  # once, and not at each of the gathers
    found = np.empty((len(FEATURES), len(titles)), dtype=np.float32)  # by feature, so that each block lies in one piece
    found[_SOURCES] = source_scores
    columns.table(request.country, request.now_ms).take(at, axis=1, out=found[_TITLE], mode="clip")
    taste, marks = _of_member(serving, columns, state, request.now_ms)
    found[_TASTE] = 0.0 if taste is None else taste @ columns.genres.take(at, axis=0).T
    found[_MARKS] = 0.0 if marks is None else marks.take(at, axis=1)
    found[_REQUEST] = _of_request(state, request)[:, None]
    found[_POSITION] = 0.0 if positions is None else np.log1p(positions.T)
    return found.T


class _Signs(NamedTuple):
    """What the state says about single titles: the vector form of what `shared.tastes` goes through. Each (m,)."""

    titles: npt.NDArray[np.int64]
    at_ms: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]


def _of_member(serving: Serving, columns: TitleColumns, state: MemberState, now_ms: int) -> tuple[Scores | None, Scores | None]:
    """The member's short and long taste by genre, unit vectors (2, genres), and marks (4, titles + 1); None for none."""
    if not (state.played or state.finished or state.thumbs or state.my_list):
        return None, None
    marks = np.zeros((len(_OF_MARKS), serving.count + 1), dtype=np.float32)  # the last column takes titles that have left
    signs: list[_Signs] = []
    if state.played:
        signs.append(_played(serving, state, now_ms, marks))
    # Only a play older than those kept was crowded out by them; until there is one, every finished title is a played one too.
    if len(state.played) >= PLAYED_LIMIT and state.finished and state.finished[0].at_ms <= state.played[0].at_ms:
        signs.append(_finished(serving, state))
    if state.thumbs:
        at_ms, ids, is_up = zip(*state.thumbs, strict=True)
        titles = _places(serving, ids)
        weights = np.where(is_up, THUMB_WEIGHT, -THUMB_WEIGHT)
        marks[_THUMB, titles] = np.sign(weights)
        signs.append(_Signs(titles, np.array(at_ms, np.float64), weights))
    listed = [mark.title_id for mark in state.my_list if mark.is_set]
    if listed:
        marks[_LISTED, _places(serving, listed)] = 1.0
    return _tastes(columns, signs, now_ms), marks


def _played(serving: Serving, state: MemberState, now_ms: int, marks: Scores) -> _Signs:
    """What the plays say; marks how far in each title the member is."""
    times, _, ids, _, kinds, positions, runtimes = zip(*state.played, strict=True)
    titles = _places(serving, ids)
    at_ms, position_ms, runtime_ms = (np.fromiter(each, np.float64, len(ids)) for each in (times, positions, runtimes))
    share = np.minimum(1.0, position_ms / runtime_ms)
    percent = position_ms * 100
    is_finished = percent >= runtime_ms * FINISHED_PERCENT
    is_abandoned = at_ms < now_ms - ABANDONED_AFTER_MS
    for early in np.flatnonzero(percent < runtime_ms * ABANDONED_PERCENT).tolist():
        is_abandoned[early] |= kinds[early] == "stop"
    marks[_WATCHED, titles] = share
    marks[_BEGUN, titles] = ~is_finished & (percent >= runtime_ms * STARTED_PERCENT)
    return _Signs(titles, at_ms, np.where(is_abandoned & ~is_finished, ABANDONED_WEIGHT, share))


def _finished(serving: Serving, state: MemberState) -> _Signs:
    """What is known as finished and no longer as played."""
    played = {entry.title_id for entry in state.played}
    older = [mark for mark in state.finished if mark.title_id not in played]
    at_ms = np.array([mark.at_ms for mark in older], np.float64)
    return _Signs(_places(serving, [mark.title_id for mark in older]), at_ms, np.ones(len(older)))


def _tastes(columns: TitleColumns, signs: list[_Signs], now_ms: int) -> Scores | None:
    """The short and the long taste as unit vectors, (2, genres), zero where there is none."""
    if not signs:
        return None
    titles, at_ms, weights = signs[0] if len(signs) == 1 else (np.concatenate(parts) for parts in zip(*signs, strict=True))
    age_ms = np.maximum(0.0, now_ms - at_ms)  # (m,)
    decayed = np.exp2(_PER_HALF_LIFE * age_ms) * weights  # (2, m)
    tastes = decayed.astype(np.float32) @ columns.genre_shares.take(titles, axis=0)  # (2, genres)
    length = np.sqrt(np.einsum("ij,ij->i", tastes, tastes))  # (2,)
    length[length == 0.0] = 1.0
    unit: Scores = tastes / length[:, None]
    return unit


def _places(serving: Serving, ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Title indices, (n,); the index past the last for titles that the snapshot does not have."""
    return np.fromiter(map(serving.index.get, ids, repeat(serving.count)), np.int64, len(ids))


def _of_request(state: MemberState, request: Request) -> Scores:
    """What is the same for all titles, in the order of its features, (9,)."""
    angle = request.now_ms % DAY_MS * (2 * math.pi / DAY_MS)
    device = [float(request.device == one) for one in DEVICES]
    updated_at_ms = state.updated_at_ms
    idle_days = max(0, request.now_ms - updated_at_ms) / DAY_MS if updated_at_ms else 0.0
    history = math.log1p(len(state.played)), math.log1p(idle_days)
    other = float(request.device not in DEVICES)
    return np.array((math.sin(angle), math.cos(angle), *device, other, *history), dtype=np.float32)


def _by_log_rank(order: Indices, count: int) -> Scores:
    """1 for the first title of an order down to 0 for the last, by the logarithm of the rank; 0 for those outside. (titles,)."""
    scores = np.zeros(count, dtype=np.float32)
    scores[order] = 1.0 - np.log1p(np.arange(len(order))) / np.log1p(max(1, count))
    return scores
