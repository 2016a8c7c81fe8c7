"""What the simulated members do: when they come, what of a page they look at, what they play, how long they stay with it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infra.demo import pages
from infra.demo.catalogue import DAY_MS, UTC_OFFSET_H, Catalogue, FloatArray, IntArray, Population
from infra.demo.pages import RANKS, ROWS

PLAYS_A_SESSION = (0.15, 0.45, 0.22, 0.12, 0.06)  # none to four
MOST = len(PLAYS_A_SESSION) - 1
FROM_PAGE, FROM_SEARCH, CONTINUED = 0, 1, 2
"""How a member came to a play; only the first has a page, row and rank."""

_HOUR_MS = 3_600_000
_WEEKDAY = (0.88, 0.86, 0.88, 0.94, 1.12, 1.30, 1.22)  # Monday to Sunday
TASTE = 7.0  # how strongly taste decides between titles that were looked at
_SEARCH_SHARE = 0.15
_SEARCH_SIZE = 12
_SEEN_FILM = 4.0  # how much less attractive a film is once seen
_CONTINUE = 0.35  # chance that a play after an episode is of the same series
_PAUSE_S = 45.0  # between two plays of a session
_FINISH_BASE, _FINISH_SLOPE = -0.2, 1.6
_AFFINITY_MEAN, _AFFINITY_SPREAD = 0.35, 0.25
_SHORTEST_S = 5.0


@dataclass(frozen=True)
class Sessions:
    """When members come, in the order of (member, time)."""

    member: IntArray  # (sessions,)
    start_ms: IntArray  # (sessions,)
    day: IntArray  # (sessions,): local day, counted from the window's first


@dataclass(frozen=True)
class Choices:
    """What each session showed and what was chosen in it; a missing play has title -1."""

    shown: pages.TitleArray  # (sessions, ROWS, RANKS)
    chance: npt.NDArray[np.uint16]  # (sessions, ROWS, RANKS), in 1/pages.STEPS
    title: npt.NDArray[np.int32]  # (sessions, MOST)
    cell: npt.NDArray[np.int8]  # (sessions, MOST): row * RANKS + rank; -1 when not from the page
    source: npt.NDArray[np.int8]  # (sessions, MOST)


@dataclass(frozen=True)
class Watching:
    """How each chosen play went, all (sessions, MOST)."""

    finish_probability: FloatArray
    position_s: npt.NDArray[np.float64]
    watched_s: npt.NDArray[np.float64]
    stop_ms: IntArray


def hour_profile(weekend: bool) -> npt.NDArray[np.float64]:
    """Share of sessions by local hour, (24,): evenings, and on weekends afternoons too."""
    hour = np.arange(24)
    evening = np.exp(-0.5 * ((hour - 20.5) / 2.2) ** 2)
    noon = np.exp(-0.5 * ((hour - 14.0) / 3.0) ** 2)
    profile = 0.04 + evening + (0.6 if weekend else 0.22) * noon
    profile[1:7] *= 0.2
    return np.asarray(profile / profile.sum())


def make_sessions(count: int, population: Population, start_ms: int, days: int, rng: np.random.Generator) -> Sessions:
    """Draw sessions over the local days that touch the window."""
    first_day = start_ms // DAY_MS
    weekday = (first_day + np.arange(days + 1) + 3) % 7  # 1 January 1970 was a Thursday
    reach = np.concatenate([[0.0], np.cumsum(np.array(_WEEKDAY)[weekday])])  # (days + 2,)
    # a member can come from the local day after sign-up
    joined = np.clip(np.ceil((population.signed_up_ms + 14 * _HOUR_MS) / DAY_MS).astype(np.int64) - first_day, 0, days + 1)
    left = reach[-1] - reach[joined]
    share = population.activity * left
    member = np.sort(rng.choice(len(population), size=count, p=share / share.sum()))
    point = reach[joined[member]] + rng.random(count) * left[member]
    day = np.clip(np.searchsorted(reach, point, side="right") - 1, 0, days)
    weekend = weekday[day] >= 5
    hour = np.where(
        weekend,
        np.searchsorted(np.cumsum(hour_profile(True)), rng.random(count)),
        np.searchsorted(np.cumsum(hour_profile(False)), rng.random(count)),
    )
    offset_ms = (np.array(UTC_OFFSET_H) * _HOUR_MS).astype(np.int64)[population.country[member]]
    within_ms = rng.integers(_HOUR_MS, size=count)
    at_ms = (first_day + day) * DAY_MS + np.minimum(hour, 23) * _HOUR_MS + within_ms - offset_ms
    order = np.lexsort((at_ms, member))
    return Sessions(member[order], at_ms[order], day[order])


def choose(
    catalogue: Catalogue, population: Population, sessions: Sessions, start_ms: int, days: int, rng: np.random.Generator
) -> Choices:
    """Show each session a page and let the member choose, day after day."""
    count = len(sessions.member)
    choices = Choices(
        shown=np.empty((count, ROWS, RANKS), dtype=np.int16),
        chance=np.empty((count, ROWS, RANKS), dtype=np.uint16),
        title=np.full((count, MOST), -1, dtype=np.int32),
        cell=np.full((count, MOST), -1, dtype=np.int8),
        source=np.zeros((count, MOST), dtype=np.int8),
    )
    seen = np.zeros((len(population), len(catalogue)), dtype=np.bool_)
    by_day = np.argsort(sessions.day, kind="stable")
    edges = np.searchsorted(sessions.day[by_day], np.arange(days + 2))
    for day in range(days + 1):
        rows = by_day[edges[day] : edges[day + 1]]
        if not len(rows):
            continue
        pools = pages.make_pools(catalogue, population, (start_ms // DAY_MS + day) * DAY_MS, rng)
        _choose_day(catalogue, population, sessions.member[rows], rows, day / days, pools, seen, choices, rng)
    _continue_series(catalogue, population, sessions, choices, rng)
    return choices


def taste_at(population: Population, members: IntArray, progress: npt.ArrayLike) -> FloatArray:
    """Tastes after a share of the window, (n, LATENT)."""
    share = np.asarray(progress, dtype=np.float32)[..., None]
    taste: FloatArray = (1 - share) * population.taste_first[members] + share * population.taste_last[members]
    return taste


def _choose_day(
    catalogue: Catalogue,
    population: Population,
    members: IntArray,
    rows: IntArray,
    progress: float,
    pools: pages.Pools,
    seen: npt.NDArray[np.bool_],
    choices: Choices,
    rng: np.random.Generator,
) -> None:
    count = len(rows)
    shown, chance = pages.draw(pools, population, members, rng)
    choices.shown[rows], choices.chance[rows] = shown, chance
    cells = shown.reshape(count, ROWS * RANKS)
    taste = taste_at(population, members, progress)  # (n, LATENT)
    page_keys = _keys(catalogue, taste, members, cells, seen, rng)  # (n, cells)
    examined = rng.random(cells.shape, dtype=np.float32) < pages.examination().ravel()
    page_keys[~examined] = -np.inf
    found = pages.draw_searches(pools, population, members, _SEARCH_SIZE, rng)
    search_keys = _keys(catalogue, taste, members, found, seen, rng)

    wanted = rng.choice(MOST + 1, size=count, p=PLAYS_A_SESSION)
    here = np.arange(count)
    for number in range(MOST):
        best = np.argmax(page_keys, axis=1)
        by_search = (rng.random(count) < _SEARCH_SHARE) | np.isneginf(page_keys[here, best])
        best_found = np.argmax(search_keys, axis=1)
        title = np.where(by_search, found[here, best_found], cells[here, best]).astype(np.int32)
        plays = wanted > number
        choices.title[rows, number] = np.where(plays, title, -1)
        choices.cell[rows, number] = np.where(plays & ~by_search, best, -1)
        choices.source[rows, number] = np.where(by_search, FROM_SEARCH, FROM_PAGE)
        page_keys[cells == title[:, None]] = -np.inf  # once a session, wherever it stands
        search_keys[found == title[:, None]] = -np.inf
        seen[members[plays], title[plays]] = True


def search(
    catalogue: Catalogue,
    population: Population,
    pools: pages.Pools,
    members: IntArray,
    taste: FloatArray,
    seen: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> IntArray:
    """What members with some taste, (n, LATENT), choose of what they come upon by themselves, whatever a page shows, (n,).

    Parameters
    ----------
    seen : (members, titles), which titles each member of the population has seen.
    """
    found = pages.draw_searches(pools, population, members, _SEARCH_SIZE, rng)  # (n, k)
    best = np.argmax(_keys(catalogue, taste, members, found, seen, rng), axis=1)
    chosen: IntArray = found[np.arange(len(members)), best].astype(np.int64)
    return chosen


def _keys(
    catalogue: Catalogue,
    taste: FloatArray,
    members: IntArray,
    titles: pages.TitleArray,
    seen: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> FloatArray:
    """Utilities with Gumbel noise: the largest is a draw from the softmax of the utilities, (n, k)."""
    liking = np.einsum("nd,nkd->nk", taste, catalogue.vectors[titles])
    repeat = seen[members[:, None], titles] & ~catalogue.is_series[titles]
    noise = -np.log(np.maximum(rng.standard_exponential(titles.shape, dtype=np.float32), np.float32(1e-9)))
    keys: FloatArray = TASTE * liking - np.float32(_SEEN_FILM) * repeat + noise
    return keys


def _continue_series(
    catalogue: Catalogue, population: Population, sessions: Sessions, choices: Choices, rng: np.random.Generator
) -> None:
    """Let some plays be the next episode of what the member played before; runs may grow long."""
    session, number = np.nonzero(choices.title >= 0)  # by member, then time
    member = sessions.member[session]
    title = choices.title[session, number]
    again = rng.random(len(title)) < _CONTINUE
    again[0] = False
    again[1:] &= member[1:] == member[:-1]
    start = np.maximum.accumulate(np.where(again, 0, np.arange(len(title))))  # the play that a run goes back to
    again &= catalogue.is_series[title[start]]
    session, number, followed = session[again], number[again], title[start][again]
    choices.title[session, number] = followed
    choices.cell[session, number] = -1
    choices.source[session, number] = CONTINUED


def watch(
    catalogue: Catalogue, population: Population, sessions: Sessions, choices: Choices, days: int, rng: np.random.Generator
) -> Watching:
    """How long each play lasted. A match of taste finishes; a mismatch is left early."""
    shape = choices.title.shape
    played = choices.title >= 0
    title = np.maximum(choices.title, 0)
    taste = taste_at(population, sessions.member, sessions.day / days)  # (sessions, LATENT)
    liking = np.stack([np.einsum("nd,nd->n", taste, catalogue.vectors[title[:, number]]) for number in range(MOST)], axis=1)
    runtime_s = catalogue.runtime_s[title]
    appeal = _FINISH_SLOPE * (liking - _AFFINITY_MEAN) / _AFFINITY_SPREAD - 0.4 * (runtime_s / 3600.0 - 1.0)
    probability = 1.0 / (1.0 + np.exp(-(_FINISH_BASE + appeal)))
    finished = rng.random(shape) < probability
    left_at = 0.01 + 0.84 * rng.random(shape) ** (1.0 + 2.0 * (1.0 - probability))
    share = np.where(finished, rng.uniform(0.95, 1.0, shape), left_at)
    position_s = np.maximum(np.round(share * runtime_s, 1), _SHORTEST_S)
    watched_s = np.round(position_s * rng.uniform(0.97, 1.0, shape), 1)
    lasted_s = np.where(played, watched_s + _PAUSE_S, 0.0)
    stop_ms = sessions.start_ms[:, None] + np.round(1000 * np.cumsum(lasted_s, axis=1)).astype(np.int64)
    return Watching(probability.astype(np.float32), position_s, watched_s, stop_ms)
