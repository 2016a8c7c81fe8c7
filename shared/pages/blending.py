"""What the sources know, brought together in one pool of titles with one score each. Pure.

    score = base + LIVE_WEIGHT * lift        base = retrieved for a candidate, else POPULAR_WEIGHT * popularity

The pool holds the titles that any source names: the member's candidates, precomputed and fresh, what is similar to the titles
watched last, what is trending, popular and new. `retrieved` is the candidates' score scaled to [CANDIDATE_FLOOR, 1], the rest
stands below them, so that there is always something to show, and `lift` in [0, 1) is how near a title is to what the member
watched last. What a request costs depends on the pool, several hundred titles, and hardly on the catalogue.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.pages.answers import Tier
from shared.pages.begun import BEGUN, titles_to_continue
from shared.pages.facts import Candidates, Facts
from shared.pages.request import Request
from shared.pages.serving import Indices, Mask, Scores, Serving
from shared.state import MemberState, Played

SOURCES = ("precomputed", "fresh", "similar", "trending", "popular", "new")
"""Where a pool's titles come from, in the order of `Pool.source_scores`."""
_OF_PRECOMPUTED, _OF_FRESH, _OF_SIMILAR, _OF_TRENDING, _OF_POPULAR, _OF_NEW = range(len(SOURCES))

CANDIDATE_FLOOR = 0.2
FRESH_WEIGHT = 0.3
"""Of a candidate's score, what the fresh ones give; the precomputed ones know the plays that a state no longer holds, and come
from the better model. Chosen on two seeds of the built-in world after a shift of taste (`python -m infra.bench online`)."""
LIVE_WEIGHT = 0.8
POPULAR_WEIGHT = 0.1
POPULAR_POOL = 200
"""Most popular titles taken into the pool, unless the request asks for more."""
TRENDING_POOL = 60
NEIGHBOURS = 30
"""Of what is near a seed, so many are looked at."""
SEEDS = 12
"""Latest titles that lift what is similar to them."""
SEED_DECAY = 0.85
"""Weight of each seed relative to the one watched after it."""
KNOWN_SEED_WEIGHT = 0.3
"""Weight of a play from before the snapshot was made: its candidates already reflect it."""

TIERS: tuple[Tier, ...] = ("live", "fresh", "precomputed", "popular_country", "popular")
_LIVE, _FRESH, _PRECOMPUTED, _POPULAR_COUNTRY, _POPULAR = range(5)


class Seed(NamedTuple):
    """A title that the member watched or liked lately; `weight` in [0, 1] is how much it says about the next one."""

    title: int
    weight: float
    verb: Literal["watched", "liked"]


@dataclass(frozen=True, slots=True)
class Pool:
    """The titles that one request chooses from, and what each source says about them.

    Attributes
    ----------
    titles : (n,) int32 title indices, ascending, each once, all of them open.
    scores : (n,) float32, comparable across sources.
    source_scores : (sources, n) float32, each source's own score in [0, 1]; 0 where it does not name the title.
    is_open : (titles,) bool, titles that may be recommended: not in progress, finished, disliked, or unavailable here.
    places : (titles,) int32, 1 + place of each title of the catalogue in the pool; 0 for those outside.
    reasons : (n + 1,) int8 or int32 by place: which of `reason_texts` says most about the score; [0] is for titles outside.
    begun : titles in progress that may be shown, the last watched first, with their last play; left to Continue Watching.
    tier_codes : (n + 1,) int8 by place, which of `TIERS` gave most of the score; [0] is for titles outside.
    """

    titles: Indices
    scores: Scores
    source_scores: Scores
    is_open: Mask
    places: Indices
    tier_codes: npt.NDArray[np.int8]
    reasons: Indices
    reason_texts: tuple[str, ...]
    seeds: tuple[Seed, ...]
    begun: list[tuple[int, Played]]

    @property
    def is_personal(self) -> bool:
        """Whether anything about this member is in the scores."""
        return bool((self.tier_codes[1:] <= _PRECOMPUTED).any())

    def tier(self, title: int) -> Tier:
        """Which source gave most of a title's score."""
        return TIERS[int(self.tier_codes[self.places[title]])]

    def evidence(self, title: int) -> str:
        """Why a title is recommended, for a person to read."""
        return self.reason_texts[int(self.reasons[self.places[title]])]


def blend(serving: Serving, facts: Facts, request: Request, depth: int = POPULAR_POOL) -> Pool:
    """Gather and score the titles for one member.

    Parameters
    ----------
    depth : the pool has at least so many titles, where the catalogue has them.
    """
    begun = titles_to_continue(serving, facts.state, serving.shown_to(request), BEGUN)
    is_open = open_titles(serving, facts.state, request)
    if begun:
        is_open[[title for title, _ in begun]] = False
    seeds = find_seeds(serving, facts.state)
    popularity, is_of_country = serving.popularity(request.country)
    popular = _first_open(serving.popular_order(request.country), is_open, depth)
    trending = trending_titles(serving, facts)
    new = serving.new_titles
    near, gains = _neighbours(serving, seeds)  # (seeds, m) each

    count = serving.count
    is_named = np.zeros(count + 1, dtype=np.bool_)  # the last stands for no title
    for candidates in (facts.candidates, facts.fresh):
        if candidates is not None:
            is_named[candidates.titles] = True
    is_named[near] = True
    is_named[trending] = True
    is_named[new] = True
    is_named[popular] = True
    titles = np.flatnonzero(is_named[:count] & is_open).astype(np.int32)  # (n,)
    size = len(titles) + 1
    places = np.zeros(count + 1, dtype=np.int32)
    places[titles] = np.arange(1, size, dtype=np.int32)

    # Columns by place: [0] takes what belongs to titles that are not open.
    of = np.zeros((len(SOURCES), size), dtype=np.float32)  # (sources, n + 1)
    own_popularity = popularity[titles]  # (n,)
    of[_OF_POPULAR, 1:] = own_popularity
    of[_OF_TRENDING, places[trending]] = _descending(len(trending))
    of[_OF_NEW, places[new]] = _descending(len(new))
    retrieved = _retrieved(facts.candidates, facts.fresh, places, of)  # (n + 1,)
    by_seed = _lift(near, gains, places, of)  # (seeds, n + 1)

    base = POPULAR_WEIGHT * of[_OF_POPULAR]  # (n + 1,)
    tier_codes = np.full(size, _POPULAR_COUNTRY if is_of_country else _POPULAR, dtype=np.int8)
    if retrieved is not None:
        is_retrieved = retrieved > 0.0
        np.copyto(base, retrieved, where=is_retrieved)
        tier_codes[is_retrieved] = _PRECOMPUTED  # numpy's copyto is ten times as slow on single bytes
        if facts.fresh is not None:
            gives_most = FRESH_WEIGHT * of[_OF_FRESH] > (1.0 - FRESH_WEIGHT) * of[_OF_PRECOMPUTED]  # (n + 1,)
            tier_codes[gives_most] = _FRESH
    live = LIVE_WEIGHT * of[_OF_SIMILAR]  # (n + 1,)
    is_live = live > base
    tier_codes[is_live] = _LIVE
    tier_codes[0] = _POPULAR_COUNTRY if is_of_country else _POPULAR
    is_live[0] = False
    reasons = tier_codes.astype(np.int32)
    lifted = is_live.nonzero()[0]
    if len(lifted):
        reasons[lifted] = len(TIERS) + by_seed.take(lifted, axis=1).argmax(axis=0)  # the seed that lifted the title most
    return Pool(
        titles=titles,
        scores=(base + live)[1:],
        source_scores=of[:, 1:],
        is_open=is_open,
        places=places[:count],
        tier_codes=tier_codes,
        reasons=reasons,
        reason_texts=_reason_texts(serving, request.country, seeds),
        seeds=seeds,
        begun=begun,
    )


def find_seeds(serving: Serving, state: MemberState) -> tuple[Seed, ...]:
    """What the member watched or liked last, the latest first, weighted by recency and by the share watched."""
    if not state.played and not state.thumbs:
        return ()
    liked = {mark.title_id: mark.at_ms for mark in state.thumbs if mark.is_set}
    disliked = state.disliked_titles if len(liked) < len(state.thumbs) else frozenset()
    finished = {mark.title_id for mark in state.finished}
    latest = [(entry.at_ms, entry.title_id, entry.share) for entry in state.played[: -2 * SEEDS - 1 : -1]]
    if liked:
        watched = {title_id for _, title_id, _ in latest}
        latest += [(at_ms, title_id, 0.0) for title_id, at_ms in liked.items() if title_id not in watched]
        latest.sort(reverse=True)
    seeds: list[Seed] = []
    recency = 1.0
    for at_ms, title_id, share in latest:
        title = serving.index.get(title_id)
        if title is None or title_id in disliked:
            continue
        weight = recency * (1.0 if title_id in finished or title_id in liked else share)
        if at_ms < serving.created_at_ms:
            weight *= KNOWN_SEED_WEIGHT
        if weight > 0.0:
            seeds.append(Seed(title, weight, "watched" if share > 0.0 or title_id in finished else "liked"))
            recency *= SEED_DECAY
            if len(seeds) == SEEDS:
                break
    return tuple(seeds)


def trending_titles(serving: Serving, facts: Facts) -> Indices:
    """What is trending, the most trending first, (n,) int32: by the stream, and by the snapshot where the stream says nothing."""
    if facts.trending is None:
        return serving.trending[:TRENDING_POOL]
    index = serving.index
    live = [index[title.title_id] for title in facts.trending.titles[:TRENDING_POOL] if title.title_id in index]
    return np.array(live, dtype=np.int32)


def open_titles(serving: Serving, state: MemberState, request: Request) -> Mask:
    """Titles that may be recommended, (titles,) bool."""
    is_open = serving.shown_to(request).copy()
    index = serving.index
    shut = [index[mark.title_id] for mark in state.finished if mark.title_id in index]
    shut += [index[mark.title_id] for mark in state.thumbs if not mark.is_set and mark.title_id in index]
    if shut:
        is_open[shut] = False
    return is_open


def _first_open(order: Indices, is_open: Mask, count: int) -> Indices:
    """The first `count` open titles of an order, (≤ count,)."""
    # Nearly all titles are open, so a look at the beginning is enough.
    found = order[: 2 * count]
    found = found[is_open[found]]
    if len(found) < count and len(order) > 2 * count:
        found = order[is_open[order]]
    return found[:count]


def _descending(count: int) -> Scores:
    """From 1 down to 1/count, (count,)."""
    return np.arange(count, 0, -1, dtype=np.float32) / np.float32(max(1, count))


def _retrieved(precomputed: Candidates | None, fresh: Candidates | None, places: Indices, of: Scores) -> Scores | None:
    """The candidates' scores in [CANDIDATE_FLOOR, 1] by place, 0 elsewhere, (n + 1,); fills in their sources' own.

    Both have the scale of products with the snapshot's title factors: the fresh scores are such products, the precomputed ones
    get that scale where a blend ranked them. So they are mixed as they are. A title that only one of the two lists names has at
    most the other's last score there, and gets that.
    """
    lists = [(c, row) for c, row in ((precomputed, _OF_PRECOMPUTED), (fresh, _OF_FRESH)) if c is not None and len(c.titles)]
    if not lists:
        return None
    weights = (1.0 - FRESH_WEIGHT, FRESH_WEIGHT) if len(lists) == 2 else (1.0,)
    is_listed = np.zeros(of.shape[1], dtype=np.bool_)
    mixed = np.zeros(of.shape[1], dtype=np.float32)
    for (candidates, row), weight in zip(lists, weights, strict=True):
        at = places[candidates.titles]
        is_listed[at] = True
        least, most = candidates.scores.min(), candidates.scores.max()
        scores = np.full(of.shape[1], least, dtype=np.float32)
        scores[at] = candidates.scores
        of[row, at] = _scaled(candidates.scores, least, most)
        scores *= np.float32(weight)
        mixed += scores
    of[:, 0] = 0.0
    is_listed[0] = False
    if not is_listed.any():
        return None
    among = mixed[is_listed]
    return np.where(is_listed, _scaled(mixed, among.min(), among.max()), np.float32(0.0))


def _scaled(scores: Scores, least: np.float32, most: np.float32) -> Scores:
    """Scores from `least` to `most` brought to [CANDIDATE_FLOOR, 1]; all 1 where they do not differ."""
    if not most > least:
        return np.ones_like(scores)
    scaled: Scores = np.float32(CANDIDATE_FLOOR) + (scores - least) * np.float32((1.0 - CANDIDATE_FLOOR) / (most - least))
    return scaled


def _neighbours(serving: Serving, seeds: tuple[Seed, ...]) -> tuple[Indices, Scores]:
    """What is near each seed and how much it gains from it, (seeds, m) each; the index past the last title pads."""
    rows = [seed.title for seed in seeds]
    weights = np.array([seed.weight for seed in seeds], dtype=np.float32)
    return serving.similar_titles[rows, :NEIGHBOURS], weights[:, None] * serving.similar_scores[rows, :NEIGHBOURS]


def _lift(near: Indices, gains: Scores, places: Indices, of: Scores) -> Scores:
    """Fill in how near each title is to the seeds, in [0, 1); gives what it has of each seed, (seeds, n + 1)."""
    by_seed = np.zeros((len(near), of.shape[1]), dtype=np.float32)
    if near.size:
        by_seed[np.arange(len(near))[:, None], places[near]] = gains
        by_seed[:, 0] = 0.0
        # Several seeds that agree add up, but never beyond 1.
        of[_OF_SIMILAR] = 1.0 - np.exp(-by_seed.sum(axis=0))
    return by_seed


def _reason_texts(serving: Serving, country: str | None, seeds: tuple[Seed, ...]) -> tuple[str, ...]:
    """A sentence for each of `TIERS`, then one for each seed."""
    return (
        "matches what you watched lately",
        "matches what you watched lately",
        "matches your taste",
        f"popular in {country}",
        "popular now",
        *(f"because you {seed.verb} {serving.names[seed.title]}" for seed in seeds),
    )
