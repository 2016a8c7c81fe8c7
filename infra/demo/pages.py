"""The simulated service's own recommender: which titles a page shows, with the exact chance of each.

A simple policy that mixes popularity and taste, as a service has before it learns. A row draws its titles from one list of
weights, a pool. The draws are stratified: rank i takes the point (u + i/10) mod 1 of the pool's distribution. So a row never
shows a title twice, and the chance of a title at a rank is exactly its share of the pool, the same at every rank.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infra.demo.catalogue import COUNTRIES, DAY_MS, GENRES, TASTE_GROUPS, Catalogue, FloatArray, IntArray, Population

ROW_NAMES = ("top-picks", "popular", "genre", "new")
ROWS = len(ROW_NAMES)
RANKS = 10
STEPS = 8192
"""A pool's shares are multiples of 1/STEPS."""

_TASTE_IN_PICKS = 4.0
_NEW_BOOST = 2.0  # of a title just released, in log weight
_NEW_FADE_DAYS = 10.0
_ROW_NEW_FADE_DAYS = 400.0
_RELEASE_MARGIN_MS = 14 * 3_600_000  # a local day begins up to 14 hours before the one in UTC

TitleArray = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Pools:
    """All pools of one day: `table[pool]` lists each title as often as its share, `steps[pool, title]` says how often that is."""

    table: TitleArray  # (pools, STEPS)
    steps: npt.NDArray[np.uint16]  # (pools, titles)


_PICKS = 0  # the pools' order: picks by (group, country), then by country, genre by (genre, country), new, search
_POPULAR = _PICKS + TASTE_GROUPS * len(COUNTRIES)
_GENRE = _POPULAR + len(COUNTRIES)
_NEW = _GENRE + len(GENRES) * len(COUNTRIES)
_SEARCH = _NEW + len(COUNTRIES)


def make_pools(catalogue: Catalogue, population: Population, day_start_ms: int, rng: np.random.Generator) -> Pools:
    """The pools of one day. Titles not yet released, or not available in a country, have no share."""
    age_days = (day_start_ms - _RELEASE_MARGIN_MS - catalogue.released_ms) / DAY_MS  # (titles,)
    open_ = catalogue.available & (age_days >= 0)  # (countries, titles)
    fresh = _NEW_BOOST * np.exp(-np.maximum(age_days, 0) / _NEW_FADE_DAYS)
    popularity = catalogue.log_popularity + fresh.astype(np.float32)  # (countries, titles)
    taste = population.group_vectors @ catalogue.vectors.T  # (groups, titles)
    log_weight = np.concatenate(
        [
            (0.75 * popularity[None] + _TASTE_IN_PICKS * taste[:, None]).reshape(-1, len(catalogue)),
            popularity,
            np.where(catalogue.in_genre.T[:, None], 0.8 * popularity[None], -12.0).reshape(-1, len(catalogue)),
            0.5 * popularity - (np.maximum(age_days, 0) / _ROW_NEW_FADE_DAYS).astype(np.float32),
            0.7 * popularity,
        ]
    )  # (pools, titles)
    mask = np.tile(open_, (len(log_weight) // len(COUNTRIES), 1))
    log_weight = log_weight.astype(np.float32)
    weight = (np.exp(log_weight - log_weight.max(axis=1, keepdims=True)) + np.float32(1e-7)) * mask
    order = rng.permutation(len(catalogue))  # what stands side by side in a row changes from day to day
    steps = _in_steps(weight[:, order])
    table = np.repeat(np.tile(order.astype(np.int16), len(steps)), steps.ravel()).reshape(len(steps), STEPS)
    by_title = np.zeros_like(steps, dtype=np.uint16)
    by_title[:, order] = steps
    return Pools(table, by_title)


def _in_steps(weight: npt.NDArray[np.floating]) -> IntArray:
    """Weights as whole numbers of steps, (pools, titles) int64: STEPS a pool, and at most STEPS / RANKS a title."""
    most = STEPS // RANKS - 1  # one less, for the rounding below
    share = weight / weight.sum(axis=1, keepdims=True) * STEPS
    for _ in range(50):  # what is over the limit goes to the others, which may then be over it
        over = np.maximum(share - most, 0).sum(axis=1, keepdims=True)
        if over.max() < 1e-2:
            break
        share = np.minimum(share, most)
        room = np.where(share < most, share, 0)
        share += over * room / np.maximum(room.sum(axis=1, keepdims=True), 1e-30)
    ends = np.floor(np.cumsum(share, axis=1) * (STEPS / share.sum(axis=1, keepdims=True)) + 0.5).astype(np.int64)
    steps: IntArray = np.diff(ends, axis=1, prepend=0)
    return steps


def draw(
    pools: Pools, population: Population, members: IntArray, rng: np.random.Generator
) -> tuple[TitleArray, npt.NDArray[np.uint16]]:
    """One page for each of some members: titles and their chances in STEPS, both (n, ROWS, RANKS)."""
    country = population.country[members]
    pool = np.stack(
        [
            _PICKS + population.group[members] * len(COUNTRIES) + country,
            _POPULAR + country,
            _GENRE + population.favourite_genre[members] * len(COUNTRIES) + country,
            _NEW + country,
        ],
        axis=1,
    )[:, :, None]  # (n, ROWS, 1)
    points = (rng.random((len(members), ROWS, 1)) + np.arange(RANKS) / RANKS) % 1.0
    shown = pools.table[pool, (points * STEPS).astype(np.int64)]  # (n, ROWS, RANKS)
    return shown, pools.steps[pool, shown]


def draw_searches(pools: Pools, population: Population, members: IntArray, count: int, rng: np.random.Generator) -> TitleArray:
    """Titles that members come upon by themselves, (n, count); popular ones more often."""
    pool = (_SEARCH + population.country[members])[:, None]
    return pools.table[pool, rng.integers(STEPS, size=(len(members), count))]


def examination() -> FloatArray:
    """The chance that a cell is looked at at all, (ROWS, RANKS): less down the page and along the row."""
    row = 0.95 * (1.0 + np.arange(ROWS)) ** -0.45
    rank = (1.0 + np.arange(RANKS)) ** -0.55
    return np.outer(row, rank).astype(np.float32)
