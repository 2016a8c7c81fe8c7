"""Point-in-time examples for the ranker: cells that were shown, what was known when they were, and whether they were played.

A page is looked at as it was served: the member's state is folded from the events that had happened *and* arrived before it, the
sources are blended and the features worked out by the code that serves (`shared.pages`), with the snapshot that served. What came
later decides the labels and nothing else. Pure; `offline.ranker_log` reads the lake, `offline.ranker` trains.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from shared import state as states
from shared.events import Cell, Feedback, Impression, Play
from shared.histories import GLANCE_SHARE
from shared.pages.blending import Pool, blend
from shared.pages.facts import Candidates, Facts
from shared.pages.features import DAY_MS, FEATURES, features
from shared.pages.request import Request
from shared.pages.serving import Serving
from shared.retrieval import Factors
from shared.snapshots import Snapshot
from shared.state import FINISHED_PERCENT, MemberState

THUMB_WINDOW_MS = DAY_MS
"""A thumb so long after a page, and before the member's next one, judges what the page showed."""

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class Sampling(NamedTuple):
    """Which cells become examples: all that were played, and of a page's others a drawn few.

    `seen` are those above and to the left of the last played cell, which were likely looked at; `other` all the rest. Cells that
    stand for others weigh so many.
    """

    seen: int = 24
    other: int = 8
    seed: int = 7


@dataclass(frozen=True)
class Examples:
    """Cells of pages, each array (n, …); the cells of a page stand together.

    Attributes
    ----------
    features : (n, features) float32; see `shared.pages.features.FEATURES`.
    labels : float32, 1 for a cell whose play came to something or got a thumb up, 0 for the others.
    weights : float32, how many cells of the page each stands for.
    propensities : float32, the chance with which it was shown where it was.
    blend : float32, the score that the blend gave it.
    pages : int64, a number of the page.
    at_ms : int64, when the page was shown.
    """

    features: FloatArray
    labels: FloatArray
    weights: FloatArray
    propensities: FloatArray
    blend: FloatArray
    pages: npt.NDArray[np.int64]
    at_ms: npt.NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """No examples."""
        floats, whole = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return cls(np.zeros((0, len(FEATURES)), np.float32), floats, floats, floats, floats, whole, whole)

    @classmethod
    def concatenated(cls, parts: Sequence[Self]) -> Self:
        """Several together."""
        kept = [cls.none(), *parts]
        return cls(*(np.concatenate([getattr(part, field.name) for part in kept]) for field in fields(cls)))

    def at(self, places: npt.NDArray[Any]) -> Self:
        """Some of them, by a mask or by indices."""
        return type(self)(*(getattr(self, field.name)[places] for field in fields(self)))

    def split_by_time(self, *shares: float) -> list[Self]:
        """Parts by the time of the pages, the oldest first: what is left, then a part for each share of the pages."""
        pages, first = np.unique(self.pages, return_index=True)
        by_time = pages[np.lexsort((pages, self.at_ms[first]))]  # (pages,)
        ends = len(pages) - np.floor(np.cumsum(shares[::-1])[::-1] * len(pages)).astype(int)
        return [self.at(np.isin(self.pages, part)) for part in np.split(by_time, ends)]


class MemberLog(NamedTuple):
    """One member's pages of one snapshot, and all that is known of the member.

    Attributes
    ----------
    events : with each the time from which it was known: when it had happened and had arrived.
    candidates : title ids and scores of the precomputed ones that the pages were made from; None without any.
    """

    pages: Sequence[Impression]
    events: Sequence[tuple[int, Play | Feedback]]
    candidates: tuple[Sequence[str], Sequence[float]] | None = None


class ExampleMaker:
    """Makes the examples of pages that one snapshot served.

    Parameters
    ----------
    snapshot : the one that served. Where nobody knows which that was, one that is like it.
    is_known : whether it is the very one. If not, each page is replayed as if a snapshot had been made at the beginning of its
        day (UTC), with candidates retrieved from the member's state at that moment.
    depth : candidates of a member.
    """

    def __init__(self, snapshot: Snapshot, is_known: bool, depth: int, sampling: Sampling) -> None:
        self._snapshot, self._is_known = Serving(snapshot), is_known
        self._depth, self._sampling = depth, sampling
        self._factors = Factors.of(snapshot)
        self._of_day: dict[int, Serving] = {}

    def examples(self, log: MemberLog) -> Examples:
        """The examples of one member's pages, in the order of time."""
        pages = sorted(log.pages, key=lambda page: (page.at_ms, page.page_id))
        past, nights = _Past(log.events), _Past(log.events)
        outcomes = _Outcomes([event for _, event in log.events])
        made: list[Examples] = []
        for number, page in enumerate(pages):
            next_ms = pages[number + 1].at_ms if number + 1 < len(pages) else None
            serving = self._serving(page.at_ms)
            state = past.until(page.at_ms)
            if self._is_known:
                candidates = _known_candidates(serving, log)
            else:
                candidates = self._retrieved(nights.until(serving.created_at_ms))
            fresh = self._retrieved(state) if state.updated_at_ms > serving.created_at_ms else None
            facts = Facts(state=state, candidates=candidates, fresh=fresh)
            made.append(self._of_page(serving, facts, page, outcomes.of_page(page, next_ms)))
        return Examples.concatenated(made)

    def _serving(self, at_ms: int) -> Serving:
        """The snapshot that served at a moment."""
        if self._is_known:
            return self._snapshot
        day = at_ms // DAY_MS
        serving = self._of_day.get(day)
        if serving is None:
            serving = self._of_day[day] = self._snapshot.as_of(day * DAY_MS)
        return serving

    def _retrieved(self, state: MemberState) -> Candidates | None:
        """What the stream workers retrieve for a state."""
        if self._factors is None or state == states.EMPTY:
            return None
        [found] = self._factors.candidates([(state, {})], self._depth, 0)
        return Candidates(found.titles, found.scores) if len(found.titles) else None

    def _of_page(self, serving: Serving, facts: Facts, page: Impression, outcome: "_Outcome") -> Examples:
        request = Request(page.member_id, page.device or "", page.country, page.at_ms)
        pool = blend(serving, facts, request, depth=serving.count)  # whatever is open: another service may have made the page
        cells = _judged(serving, pool, page.cells, outcome)
        labels = np.array([outcome.of_title.get(cell.title_id, False) for cell in cells], dtype=np.bool_)  # (cells,)
        positions = np.array([(cell.row_index, cell.rank) for cell in cells]).reshape(-1, 2)  # (cells, 2)
        number = page_number(page.page_id)
        random = np.random.default_rng([self._sampling.seed, number])
        kept, weights = _sampled(labels, positions, self._sampling, random)
        titles = np.array([serving.index[cells[at].title_id] for at in kept], dtype=np.int32)  # (n,)
        places = pool.places[titles] - 1  # (n,)
        propensities = np.array([cells[at].propensity for at in kept], np.float32)
        return Examples(
            features=features(serving, facts.state, request, titles, pool.source_scores[:, places], positions[kept]),
            labels=labels[kept].astype(np.float32),
            weights=weights,
            propensities=propensities,
            blend=pool.scores[places],
            pages=np.full(len(kept), number),
            at_ms=np.full(len(kept), page.at_ms, np.int64),
        )


class _Outcome(NamedTuple):
    """What became of a page: of titles whether they were wanted, and the cells that they were played from where that is known."""

    of_title: dict[str, bool]
    cells: dict[str, tuple[str, int]]  # title to row key and rank


class _Outcomes:
    """What a member played and thought, by page and by time."""

    def __init__(self, events: Iterable[Play | Feedback]) -> None:
        self._plays: dict[str, dict[str, list[Play]]] = {}
        self._thumbs: list[Feedback] = []
        for event in events:
            if isinstance(event, Feedback):
                if event.kind in ("thumbs_up", "thumbs_down"):
                    self._thumbs.append(event)
            elif event.page_id is not None:
                self._plays.setdefault(event.page_id, {}).setdefault(event.title_id, []).append(event)
        self._thumbs.sort(key=attrgetter("at_ms", "kind"))

    def of_page(self, page: Impression, next_ms: int | None) -> _Outcome:
        """What came of a page; `next_ms` is when the member's next one was shown."""
        plays = self._plays.get(page.page_id, {})
        of_title = {title_id: _came_to_something(played) for title_id, played in plays.items()}
        cells = {
            title_id: (played[0].row, played[0].rank)
            for title_id, played in plays.items()
            if played[0].row is not None and played[0].rank is not None
        }
        end_ms = page.at_ms + THUMB_WINDOW_MS if next_ms is None else min(next_ms, page.at_ms + THUMB_WINDOW_MS)
        shown = {cell.title_id for cell in page.cells}
        for thumb in self._thumbs:
            if page.at_ms <= thumb.at_ms < end_ms and thumb.title_id in shown:
                of_title[thumb.title_id] = thumb.kind == "thumbs_up"
        return _Outcome(of_title, cells)


class _Past:
    """A member's state at one moment after the other."""

    def __init__(self, events: Iterable[tuple[int, Play | Feedback]]) -> None:
        self._events = sorted(events, key=lambda known: known[0])
        self._taken = 0
        self._state = states.EMPTY

    def until(self, at_ms: int) -> MemberState:
        """The state of all that was known before a moment; never earlier than the moment asked for before."""
        end = self._taken
        while end < len(self._events) and self._events[end][0] < at_ms:
            end += 1
        if end > self._taken:
            self._state = states.fold(self._state, [event for _, event in self._events[self._taken : end]])
            self._taken = end
        return self._state


def known_at_ms(at_ms: int, arrived_at_ms: int | None) -> int:
    """From when an event counts: it must have happened and have arrived."""
    return at_ms if arrived_at_ms is None else max(at_ms, arrived_at_ms)


def _came_to_something(played: list[Play]) -> bool:
    """Whether a title, which was not just in progress, was watched for more than a glance from a page, or to its end."""
    watched_s = max(sum(play.watched_s for play in played), max(play.position_s for play in played))
    runtime_s = max(play.runtime_s for play in played)
    is_finished = any(play.position_s * 100 >= play.runtime_s * FINISHED_PERCENT for play in played)
    return is_finished or watched_s >= GLANCE_SHARE * runtime_s


def _known_candidates(serving: Serving, log: MemberLog) -> Candidates | None:
    """The precomputed candidates as the snapshot has them: titles that have left the catalogue are left out."""
    if log.candidates is None:
        return None
    known = [(serving.index[one], score) for one, score in zip(*log.candidates, strict=True) if one in serving.index]
    if not known:
        return None
    titles, scores = zip(*known, strict=True)
    return Candidates(np.array(titles, np.int32), np.array(scores, np.float32))


def _judged(serving: Serving, pool: Pool, cells: Sequence[Cell], outcome: _Outcome) -> list[Cell]:
    """A page's cells of open titles, each title once: where it was played, else where it stood first."""
    first: dict[str, Cell] = {}
    for cell in sorted(cells, key=attrgetter("row_index", "rank")):
        title = serving.index.get(cell.title_id)
        if title is None or not pool.places[title]:
            continue
        was_played_here = outcome.cells.get(cell.title_id) == (cell.row, cell.rank)
        if was_played_here or cell.title_id not in first:
            first[cell.title_id] = cell
    return list(first.values())


def _sampled(
    labels: BoolArray, positions: npt.NDArray[np.int64], sampling: Sampling, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Which cells of a page are kept, (n,) ascending, and how many each stands for, (n,)."""
    last_row, last_rank = positions[labels].max(axis=0, initial=-1)
    is_seen = (positions[:, 0] <= last_row) & (positions[:, 1] <= last_rank)
    weights = labels.astype(np.float32)  # (cells,)
    for stratum, limit in ((is_seen & ~labels, sampling.seen), (~is_seen & ~labels, sampling.other)):
        places = np.flatnonzero(stratum)
        drawn = places if len(places) <= limit else random.choice(places, limit, replace=False)
        weights[drawn] = len(places) / max(1, len(drawn))
    kept = np.flatnonzero(weights)
    return kept, weights[kept]


def page_number(page_id: str) -> int:
    """A number that tells pages apart, within int64 and not negative."""
    return int.from_bytes(hashlib.blake2b(page_id.encode(), digest_size=8).digest()) >> 1
