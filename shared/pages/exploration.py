"""Titles shown to learn from them, each with the exact chance with which it is shown. Pure.

    one row's titles, best first + `ExplorationSettings` + random numbers → the row as shown, and a propensity a cell

A row has its own best titles up to `first_slot`; the `slots` cells from there on explore; then come the best titles left. How the
cell of a slot is filled, from the `pool` best titles that may be explored and are not yet in the row:

    epsilon    with the chance ε by one of them, all alike; else by the best title that is left, whether of the pool or not
    softmax    by one of them with chances in proportion to exp(score / (temperature · the deviation of the pool's scores)), so
               that a row is a draw of the Plackett-Luce model; drawn as Gumbel-top-k (Kool et al., 2019)
    thompson   by the one whose draw from its posterior is the greatest; the draws are made anew for every slot, and taken as a
               draw from the chances that they have (`shared.pages.posteriors`)

A cell's propensity is the chance of its title at its place, given the titles to its left. So the product along a row is the
chance of the row as a whole, with its order; cells that do not explore have 1. `propensities` gives the chances of all titles at
a place, shown or not, which off-policy evaluation of another policy asks for.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.config import ExplorationSettings
from shared.pages.posteriors import Posteriors, Vector
from shared.pages.serving import Indices, Mask, Scores

_LEAST_TEMPERATURE = 1e-6
"""A lower one is none: the best title stands out by more than any random number could make up for."""
_LEAST_UNIFORM = 1e-300
"""In the place of a uniform number of 0, whose logarithm is none."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a row can show.

    Attributes
    ----------
    scores : (n,) of its titles, which come best first; softmax weighs by them.
    is_explorable : (n,) bool, the titles that may be explored; None: all.
    posteriors, arms : Thompson sampling's arms, and (n,) which of them each title is, -1 for none. Only titles with an arm are
        explored by it; without arms, none.
    """

    scores: Scores
    is_explorable: Mask | None = None
    posteriors: Posteriors | None = None
    arms: Indices | None = None


@dataclass(frozen=True, slots=True)
class Explored:
    """A row as it is shown: (cells,) places in the row's own titles, and (cells,) float32 the chance of each."""

    places: Indices
    propensities: Scores


def random_numbers(page_id: str) -> np.random.Generator:
    """The random numbers of a page: the same for the same page, whenever it is made."""
    seed = hashlib.blake2b(page_id.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed, "little")))


def explores(settings: ExplorationSettings, row_key: str) -> bool:
    """Whether a row explores: its key is named, or what stands before the colon in it."""
    return settings.kind != "none" and (row_key in settings.rows or row_key.partition(":")[0] in settings.rows)


def explore(settings: ExplorationSettings, options: Options, cells: int, random: np.random.Generator) -> Explored:
    """Choose what a row shows.

    Parameters
    ----------
    cells : how many at most; the slots beyond are left out.
    """
    titles = len(options.scores)
    cells = min(cells, titles)
    first, stop = settings.first_slot, min(settings.first_slot + settings.slots, cells)
    left = _pool(settings, options, first) if first < stop else np.zeros(0, dtype=np.int32)
    if not len(left):
        return Explored(np.arange(cells, dtype=np.int32), np.ones(cells, dtype=np.float32))
    chosen: list[int] = []
    chances: list[float] = []
    if settings.kind == "softmax":
        _draw_softmax(settings, options, left, stop - first, random, chosen, chances)
    else:
        draw = _draw_epsilon if settings.kind == "epsilon" else _draw_thompson
        while len(chosen) < stop - first:
            greedy = _greedy(chosen, first)
            place, chance = draw(settings, options, left, greedy, random) if len(left) else (greedy, 1.0)
            left = left[left != place]
            chosen.append(place)
            chances.append(chance)
    propensities = np.ones(cells, dtype=np.float32)
    propensities[first : first + len(chances)] = chances
    return Explored(_row(titles, cells, first, chosen), propensities)


def propensities(settings: ExplorationSettings, options: Options, shown: npt.ArrayLike = ()) -> Vector:
    """The chance of every title at the next place of a row, (n,) float64; 0 for those that cannot be there.

    Parameters
    ----------
    shown : places (of the row's own titles) of what the row has so far, from left to right.
    """
    before = np.asarray(shown, dtype=np.int64).tolist()
    chances = np.zeros(len(options.scores))
    if len(before) == len(chances):
        return chances
    is_slot = settings.first_slot <= len(before) < settings.first_slot + settings.slots
    pool = _pool(settings, options, 0)
    left = pool[~np.isin(pool, before)] if is_slot else pool[:0]
    greedy = _greedy(before, 0)
    if not len(left):
        chances[greedy] = 1.0
    elif settings.kind == "epsilon":
        chances[left] = settings.epsilon / len(left)
        chances[greedy] += 1.0 - settings.epsilon
    elif settings.kind == "softmax":
        logs = _log_weights(settings, options, pool)[np.isin(pool, left)]
        chances[left] = np.exp(logs - np.logaddexp.reduce(logs))
    else:
        chances[left] = _thompson_chances(options, left)
    return chances


def _pool(settings: ExplorationSettings, options: Options, first: int) -> Indices:
    """Places of the titles that slots draw from, but for those that stand before the slots: (m,) ascending."""
    titles = len(options.scores)
    if settings.kind == "none" or (settings.kind == "softmax" and settings.temperature < _LEAST_TEMPERATURE):
        return np.zeros(0, dtype=np.int32)
    may = options.is_explorable
    if settings.kind == "thompson":
        if options.arms is None or options.posteriors is None:
            return np.zeros(0, dtype=np.int32)
        has_arm = options.arms >= 0
        may = has_arm if may is None else may & has_arm
    if may is None:
        return np.arange(first, min(settings.pool, titles), dtype=np.int32)
    pool = np.flatnonzero(may)[: settings.pool].astype(np.int32)
    return pool[pool >= first]


def _greedy(taken: list[int], first: int) -> int:
    """The best title that is left: the first place from `first` on that is not taken."""
    place = first
    while place in taken:
        place += 1
    return place


def _draw_epsilon(
    settings: ExplorationSettings, options: Options, left: Indices, greedy: int, random: np.random.Generator
) -> tuple[int, float]:
    epsilon = settings.epsilon
    drawn = random.random()
    # Below ε the number is as uniform as it was, and says which title.
    place = int(left[min(int(drawn / epsilon * len(left)), len(left) - 1)]) if drawn < epsilon else greedy
    share = epsilon / len(left) if place != greedy or greedy in left else 0.0
    return place, share + (1.0 - epsilon if place == greedy else 0.0)


def _draw_thompson(
    settings: ExplorationSettings, options: Options, left: Indices, greedy: int, random: np.random.Generator
) -> tuple[int, float]:
    chances = _thompson_chances(options, left)
    upto = np.cumsum(chances)
    at = min(int(np.searchsorted(upto, random.random() * upto[-1], side="right")), len(left) - 1)
    return int(left[at]), float(chances[at])


def _thompson_chances(options: Options, left: Indices) -> Vector:
    assert options.posteriors is not None and options.arms is not None  # or there would be no pool
    return options.posteriors.chances(options.arms[left])


def _log_weights(settings: ExplorationSettings, options: Options, pool: Indices) -> Vector:
    """What a softmax's exponential is of: (m,) float64. All alike when the pool's scores are."""
    scores = options.scores[pool].astype(np.float64)
    deviation = scores.std()
    return (scores - scores.max()) / (settings.temperature * deviation) if deviation > 0.0 else np.zeros(len(pool))


def _draw_softmax(
    settings: ExplorationSettings,
    options: Options,
    left: Indices,
    slots: int,
    random: np.random.Generator,
    chosen: list[int],
    chances: list[float],
) -> None:
    """Draw all slots at once: the order of weights with Gumbel noise is that of draws one after the other."""
    logs = _log_weights(settings, options, _pool(settings, options, 0))[-len(left) :]  # (m,)
    noise = -np.log(np.maximum(-np.log(np.maximum(random.random(len(left)), _LEAST_UNIFORM)), _LEAST_UNIFORM))
    order = np.argsort(-(logs + noise), kind="stable")
    ordered = logs[order]  # (m,)
    remaining = np.logaddexp.accumulate(ordered[::-1])[::-1]  # (m,) of each and all after it
    chosen += left[order[:slots]].tolist()
    chances += np.exp(ordered - remaining)[:slots].tolist()
    while len(chosen) < slots:
        chosen.append(_greedy(chosen, settings.first_slot))
        chances.append(1.0)


def _row(titles: int, cells: int, first: int, chosen: list[int]) -> Indices:
    """The best titles up to the slots, the chosen ones, and the best that are left: (cells,)."""
    if chosen == list(range(first, first + len(chosen))):
        return np.arange(cells, dtype=np.int32)
    is_left = np.ones(titles, dtype=np.bool_)
    is_left[chosen] = False
    is_left[:first] = False
    rest = np.flatnonzero(is_left)[: cells - first - len(chosen)]
    return np.concatenate([np.arange(first), chosen, rest]).astype(np.int32)
