"""The invented service that the sections ask for: a catalogue, candidates that follow tastes, and members with a past.

Everything follows from a `World`, so a process of a section's own makes the same one without being sent it. Titles are `t0`,
`t1`, …, members `m0`, `m1`, …; a title's genres say where it lies, a member's taste is a mixture of a few genres, and
candidates and history are drawn by both and by popularity.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.pages.features import FEATURES
from shared.pages.ranker import PREFIX, RANKER_FORMAT, name_bytes
from shared.state import Mark, MemberState, Played
from shared.titles import Title

GENRES = (
    *("Action", "Adventure", "Animation", "Anime", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy"),
    *("History", "Horror", "Music", "Musical", "Mystery", "Reality", "Romance", "Sci-Fi", "Short", "Sport", "Thriller", "War"),
    "Western",
)
MOODS = ("Tense", "Gritty", "Feel-Good", "Dark", "Witty", "Romantic", "Violent", "Quirky", "Emotional", "Epic", "Slow")
COUNTRIES = ("US", "GB", "DE", "BR", "IN")
DEVICES = ("tv", "web")
"""Those whose pages are as long as pages get."""
RATINGS = ("G", "PG", "PG-13", "R")
RANKER_HIDDEN = 32
"""As `offline.models.ranker` trains it by default."""
DAY_MS = 86_400_000
LIMITED_SHARE = 1 / 12
"""Of the titles, those that only two countries may see."""
FINISHED_SHARE, THUMBS, LISTED = 0.5, 6, 12
CHUNK = 500

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Member:
    """One member: candidates best first, (candidates,) each, and what they did."""

    member_id: str
    titles: Ints
    scores: Floats
    state: MemberState


@dataclass(frozen=True)
class World:
    """What there is.

    Parameters
    ----------
    candidates : precomputed for each member.
    played : titles in a member's state, from the least to the most.
    now_ms : when it all ends; the snapshot is made six hours before.
    """

    titles: int = 5000
    members: int = 50_000
    candidates: int = 500
    similar: int = 50
    played: tuple[int, int] = (60, 100)
    seed: int = 11
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    @property
    def created_at_ms(self) -> int:
        """When the snapshot was made."""
        return self.now_ms - 6 * 3_600_000

    def member_ids(self) -> list[str]:
        """Every member's id."""
        return [f"m{number}" for number in range(self.members)]

    def country(self, member: int) -> str:
        """Where a member is."""
        return COUNTRIES[member % len(COUNTRIES)]

    def catalogue(self) -> list[Title]:
        """The titles, in index order."""
        random = self._random(0)
        found: list[Title] = []
        for number in range(self.titles):
            genres = random.choice(len(GENRES), size=random.integers(1, 4), replace=False)
            limited = random.random() < LIMITED_SHARE
            found.append(
                Title(
                    f"t{number}",
                    f"{GENRES[genres[0]]} Title {number}",
                    genres=tuple(GENRES[genre] for genre in genres),
                    runtime_s=float(random.integers(20, 160) * 60),
                    released_ms=self.now_ms - int(random.exponential(2000) * DAY_MS),
                    countries=tuple(sorted(random.choice(COUNTRIES, 2, replace=False).tolist())) if limited else (),
                    maturity=RATINGS[random.integers(len(RATINGS))],
                    tags=tuple(MOODS[mood] for mood in random.choice(len(MOODS), random.integers(1, 4), replace=False)),
                    origin=COUNTRIES[random.integers(len(COUNTRIES))],
                )
            )
        return found

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What the snapshot's bundle holds beside the titles."""
        random = self._random(1)
        closeness = self._vectors @ self._vectors.T  # (titles, titles)
        np.fill_diagonal(closeness, -np.inf)
        titles = np.argsort(-closeness, axis=1, kind="stable")[:, : self.similar].astype(np.int32)  # (titles, similar)
        popularity = self._popularity  # (titles,)
        found = {
            "similar_titles": titles,
            "similar_scores": np.take_along_axis(closeness, titles, axis=1).clip(0.0, 1.0),
            "popular": _ranked(popularity),
            "trending": _ranked(popularity * random.lognormal(0.0, 1.0, self.titles)),
        }
        for country in COUNTRIES:
            found[f"popular/{country}"] = _ranked(popularity * random.lognormal(0.0, 0.5, self.titles))
        return {**found, **self._ranker()}

    def people(self) -> Iterator[Member]:
        """Every member, in order."""
        for start in range(0, self.members, CHUNK):
            yield from self._chunk(start, min(CHUNK, self.members - start))

    def _ranker(self) -> dict[str, npt.NDArray[Any]]:
        """A ranker of the usual size that nobody trained: it ranks as fast as a good one."""
        random, inputs = self._random(5), len(FEATURES)
        own = {
            "format": np.array([RANKER_FORMAT]),
            "features": name_bytes(FEATURES),
            "means": np.zeros(inputs, np.float32),
            "weights_1": random.normal(0.0, inputs**-0.5, (inputs, RANKER_HIDDEN)).astype(np.float32),
            "bias_1": np.zeros(RANKER_HIDDEN, np.float32),
            "weights_2": random.normal(0.0, RANKER_HIDDEN**-0.5, (RANKER_HIDDEN, 1)).astype(np.float32),
            "bias_2": np.zeros(1, np.float32),
        }
        return {f"{PREFIX}{name}": array for name, array in own.items()}

    def _chunk(self, start: int, count: int) -> Iterator[Member]:
        random = self._random(2, start)
        tastes = random.dirichlet(np.full(len(GENRES), 0.2), count).astype(np.float32)  # (count, genres)
        liking = tastes @ self._vectors.T + 0.1 * np.log(self._popularity).astype(np.float32)  # (count, titles)
        liking += 0.05 * random.standard_normal(liking.shape, np.float32)
        most = self.candidates + self.played[1]
        best = np.argpartition(-liking, most - 1, axis=1)[:, :most]  # (count, most)
        best_liking = np.take_along_axis(liking, best, axis=1)
        order = np.argsort(-best_liking, axis=1, kind="stable")
        best, best_liking = np.take_along_axis(best, order, axis=1).astype(np.int32), np.take_along_axis(best_liking, order, 1)
        for row in range(count):
            # What was watched is drawn from what is liked; what is left are candidates.
            seen = random.permutation(most)[: random.integers(self.played[0], self.played[1] + 1)]
            is_left = np.ones(most, dtype=np.bool_)
            is_left[seen] = False
            left = np.flatnonzero(is_left)[: self.candidates]
            state = self._state(start + row, best[row][seen].tolist(), random)
            yield Member(f"m{start + row}", best[row][left], best_liking[row][left], state)

    def _state(self, member: int, titles: list[int], random: np.random.Generator) -> MemberState:
        count = len(titles)
        ages_ms = np.sort(random.exponential(20 * DAY_MS, count))[::-1].astype(np.int64)  # the oldest first
        at_ms = (self.now_ms - 60_000 - ages_ms).tolist()
        runtimes_ms = (random.integers(20, 160, count) * 60_000).tolist()
        shares = np.where(random.random(count) < FINISHED_SHARE, 0.97, random.random(count) * 0.9).tolist()
        event, session = f"{member:08x}-%04x-4c7e-8f2a-%012x", f"{member:08x}-5e55-4a0b-9c1d-%012x"
        played = tuple(
            Played(at, event % (nth, at), f"t{title}", session % at, "stop", int(runtime * share), runtime)
            for nth, (at, title, runtime, share) in enumerate(zip(at_ms, titles, runtimes_ms, shares, strict=True))
        )
        finished = tuple(Mark(entry.at_ms, entry.title_id, True) for entry in played if entry.is_finished)
        thumbs = tuple(Mark(entry.at_ms, entry.title_id, bool(nth % 3)) for nth, entry in enumerate(played[-THUMBS:]))
        others = random.choice(self.titles, LISTED, replace=False).tolist()
        listed = tuple(Mark(at_ms[-1] - LISTED + nth, f"t{title}", True) for nth, title in enumerate(others))
        return MemberState(played=played, finished=finished, thumbs=thumbs, my_list=listed)

    @cached_property
    def _vectors(self) -> Floats:
        """Unit vectors (titles, genres), near for titles of the same genres."""
        vectors = 0.35 * self._random(3).standard_normal((self.titles, len(GENRES)), np.float32)
        for row, title in enumerate(self.catalogue()):
            for genre in title.genres:
                vectors[row, GENRES.index(genre)] += 1.0
        unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    @cached_property
    def _popularity(self) -> npt.NDArray[np.float64]:
        """Plays of each title, (titles,), by Zipf's law."""
        return self._random(4).permutation(1e6 / np.arange(1, self.titles + 1))

    def _random(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *stream))


def _ranked(worth: npt.NDArray[Any]) -> Ints:
    return np.argsort(-worth, kind="stable").astype(np.int32)
