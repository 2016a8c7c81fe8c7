"""Candidates and the live state made into one score a title. Pure.

    score = base + LIVE_WEIGHT * lift        base = retrieved for a candidate, else POPULAR_WEIGHT * popularity

`retrieved` is the member's candidates, precomputed and fresh, scaled to [CANDIDATE_FLOOR, 1], `popularity` in [0, 1] orders all
the rest below them, so that there is always something to show, and `lift` in [0, 1) is how near a title is to what the member
watched last. Everything is a vector over the snapshot's titles.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from shared.pages.answers import Tier
from shared.pages.facts import Candidates, Facts
from shared.pages.request import Request
from shared.pages.serving import Indices, Mask, Scores, Serving
from shared.state import MemberState

CANDIDATE_FLOOR = 0.2
FRESH_WEIGHT = 0.7
"""Of a candidate's score, what the fresh ones give; the precomputed ones know the plays that a state no longer holds."""
LIVE_WEIGHT = 0.8
POPULAR_WEIGHT = 0.1
SEEDS = 12
"""Latest titles that lift what is similar to them."""
SEED_DECAY = 0.85
"""Weight of each seed relative to the one watched after it."""
KNOWN_SEED_WEIGHT = 0.3
"""Weight of a play from before the snapshot was made: its candidates already reflect it."""

_TIERS: tuple[Tier, ...] = ("live", "fresh", "precomputed", "popular_country", "popular")
_LIVE, _FRESH, _PRECOMPUTED, _POPULAR_COUNTRY, _POPULAR = range(5)


@dataclass(frozen=True, slots=True)
class Seed:
    """A title that the member watched or liked lately; `weight` in [0, 1] is how much it says about the next one."""

    title: int
    weight: float
    verb: Literal["watched", "liked"]


@dataclass(frozen=True, slots=True)
class Blend:
    """Every title's score for one request, and where it came from.

    Attributes
    ----------
    scores : (titles,) float32, comparable across sources; only those of `is_open` mean something.
    is_open : (titles,) bool, titles that may be recommended: not finished, disliked or unavailable in the country.
    tier_codes : (titles,) int8, which source gave most of the score.
    seed_of : (titles,) int32, place in `seeds` of the one that lifted a title most; -1 for none.
    """

    scores: Scores
    is_open: Mask
    tier_codes: npt.NDArray[np.int8]
    seed_of: Indices
    seeds: tuple[Seed, ...]
    country: str | None
    names: list[str]

    def tier(self, title: int) -> Tier:
        """Which source gave most of a title's score."""
        return _TIERS[int(self.tier_codes[title])]

    def evidence(self, title: int) -> str:
        """Why a title is recommended, for a person to read."""
        tier = self.tier(title)
        if tier == "live":
            seed = self.seeds[self.seed_of[title]]
            return f"because you {seed.verb} {self.names[seed.title]}"
        if tier == "fresh":
            return "matches what you watched lately"
        if tier == "precomputed":
            return "matches your taste"
        return f"popular in {self.country}" if tier == "popular_country" else "popular now"

    @property
    def is_personal(self) -> bool:
        """Whether anything about this member is in the scores."""
        return bool((self.tier_codes <= _PRECOMPUTED).any())


def blend(serving: Serving, facts: Facts, request: Request) -> Blend:
    """Score all titles of the snapshot for one member."""
    seeds = find_seeds(serving, facts.state)
    retrieved = _retrieved(serving, facts.candidates, facts.fresh)
    lift, seed_of = _lift(serving, seeds)
    popularity, is_of_country = serving.popularity(request.country)

    live = LIVE_WEIGHT * lift  # (titles,)
    base = np.where(retrieved > 0, retrieved, POPULAR_WEIGHT * popularity)  # (titles,)
    tier_codes = np.full(serving.count, _POPULAR_COUNTRY if is_of_country else _POPULAR, dtype=np.int8)  # (titles,)
    np.copyto(tier_codes, np.int8(_PRECOMPUTED), where=retrieved > 0)
    if facts.fresh is not None:
        tier_codes[facts.fresh.titles] = _FRESH
    np.copyto(tier_codes, np.int8(_LIVE), where=live > base)
    return Blend(
        scores=base + live,
        is_open=_open_titles(serving, facts.state, request.country),
        tier_codes=tier_codes,
        seed_of=seed_of,
        seeds=seeds,
        country=request.country,
        names=serving.names,
    )


def find_seeds(serving: Serving, state: MemberState) -> tuple[Seed, ...]:
    """What the member watched or liked last, the latest first, weighted by recency and by the share watched."""
    disliked = state.disliked_titles
    finished = state.finished_titles
    liked = {mark.title_id: mark.at_ms for mark in state.thumbs if mark.is_set}
    latest = [(played.at_ms, played.title_id, played.share) for played in state.played[-2 * SEEDS :]]
    watched = {title_id for _, title_id, _ in latest}
    latest += [(at_ms, title_id, 0.0) for title_id, at_ms in liked.items() if title_id not in watched]
    latest.sort(reverse=True)
    seeds: list[Seed] = []
    recency = 1.0
    for at_ms, title_id, share in latest:
        title = serving.index.get(title_id)
        if title is None or title_id in disliked:
            continue
        weight = recency * (1.0 if title_id in liked or title_id in finished else share)
        if at_ms < serving.created_at_ms:
            weight *= KNOWN_SEED_WEIGHT
        if weight > 0.0:
            seeds.append(Seed(title, weight, "watched" if share > 0.0 or title_id in finished else "liked"))
            recency *= SEED_DECAY
        if len(seeds) == SEEDS:
            break
    return tuple(seeds)


def _retrieved(serving: Serving, precomputed: Candidates | None, fresh: Candidates | None) -> Scores:
    """The candidates' scores in [CANDIDATE_FLOOR, 1] at their titles, 0 elsewhere: (titles,) float32.

    Both have the scale of products with the snapshot's title factors: the fresh scores are such products, the precomputed ones
    get that scale where a blend ranked them. So they are mixed as they are. A title that only one of the two lists names has at
    most the other's last score there, and gets that.
    """
    scaled = np.zeros(serving.count, dtype=np.float32)
    lists = [candidates for candidates in (precomputed, fresh) if candidates is not None]
    if not lists:
        return scaled
    weights = (1.0 - FRESH_WEIGHT, FRESH_WEIGHT) if len(lists) == 2 else (1.0,)
    titles = np.unique(np.concatenate([candidates.titles for candidates in lists]))  # (n,) of either list
    mixed = np.zeros(len(titles), dtype=np.float32)  # (n,)
    for candidates, weight in zip(lists, weights, strict=True):
        scores = np.full(serving.count, candidates.scores.min(), dtype=np.float32)  # (titles,)
        scores[candidates.titles] = candidates.scores
        mixed += np.float32(weight) * scores[titles]
    least, span = mixed.min(), np.ptp(mixed)
    share = (mixed - least) / span if span > 0 else np.ones_like(mixed)
    scaled[titles] = CANDIDATE_FLOOR + (1.0 - CANDIDATE_FLOOR) * share
    return scaled


def _lift(serving: Serving, seeds: tuple[Seed, ...]) -> tuple[Scores, Indices]:
    """How near each title is to the seeds, (titles,) in [0, 1), and which seed is nearest, (titles,), -1 for none."""
    seed_of = np.full(serving.count, -1, dtype=np.int32)
    if not seeds:
        return np.zeros(serving.count, dtype=np.float32), seed_of
    rows = np.array([seed.title for seed in seeds])
    weights = np.array([seed.weight for seed in seeds], dtype=np.float32)
    near = serving.similar_titles[rows]  # (seeds, n)
    gains = weights[:, None] * serving.similar_scores[rows]  # (seeds, n)
    places = np.broadcast_to(np.arange(len(seeds), dtype=np.int32)[:, None], near.shape)  # (seeds, n)
    is_there = (near >= 0) & (gains > 0)
    near, gains, places = near[is_there], gains[is_there], places[is_there]  # each (pairs,)
    total = np.bincount(near, gains, minlength=serving.count)  # (titles,)
    ascending = np.argsort(gains, kind="stable")
    seed_of[near[ascending]] = places[ascending]  # of repeated titles the last, greatest gain stays
    # Several seeds that agree add up, but never beyond 1.
    return (1.0 - np.exp(-total)).astype(np.float32), seed_of


def _open_titles(serving: Serving, state: MemberState, country: str | None) -> Mask:
    """Titles that may be recommended, (titles,) bool."""
    is_open = serving.available(country).copy()
    index = serving.index
    shut = [index[title_id] for title_id in (*state.finished_titles, *state.disliked_titles) if title_id in index]
    is_open[shut] = False
    return is_open
