"""A simulated streaming service, seeded: catalogue, members, the pages they were shown, and what they played.

    catalogue, population  →  sessions  →  pages  →  choices  →  watching  →  plays
    (catalogue.py)            (viewing.py) (pages.py)  (viewing.py)           (this module)

`make demo` uses it when no data is given, and tests compare what is learnt with its truth. What it has of real logs: skewed
popularity, new releases, countries, weekday and hour rhythms, position bias, early abandonment, tastes that drift.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.demo import catalogue as start
from infra.demo import pages, viewing
from infra.demo.catalogue import COUNTRIES, DAY_MS, DEVICES, Catalogue, FloatArray, IntArray, Population
from offline.layouts import PLAY_SCHEMA, TITLE_SCHEMA
from shared.errors import InputError
from shared.events import SCHEMA_VERSION
from shared.whole_files import replaced

END_MS = 1_767_225_600_000
"""The end of the window unless another is given: 1 January 2026."""
PROGRESS_S = 600.0
"""Watched time between two reports of progress, where plays are told in full."""

_ROWS_A_SLICE = 100_000
_SMALLEST_CATALOGUE, _LARGEST_CATALOGUE = 100, 32_000


def check_sizes(members: int, titles: int, plays: int, days: int = 60) -> None:
    """Raise `InputError` for a size that the simulation cannot do."""
    if not _SMALLEST_CATALOGUE <= titles <= _LARGEST_CATALOGUE:
        raise InputError(f"the simulated world has {titles} titles; {_SMALLEST_CATALOGUE} to {_LARGEST_CATALOGUE} are due")
    if min(members, plays, days) < 1:
        raise InputError(f"the simulated world has {members} members, {plays} plays and {days} days; at least 1 each is due")


@dataclass(frozen=True)
class Plays:
    """All plays by the time of their end, each array (plays,)."""

    member: npt.NDArray[np.int32]
    title: npt.NDArray[np.int32]
    at_ms: IntArray  # when it stopped
    position_s: npt.NDArray[np.float64]
    watched_s: npt.NDArray[np.float64]
    device: npt.NDArray[np.int8]
    session: npt.NDArray[np.int32]  # also the index of the page it began from
    row: npt.NDArray[np.int8]  # -1 where the play came from no page
    rank: npt.NDArray[np.int8]
    source: npt.NDArray[np.int8]  # viewing.FROM_PAGE, FROM_SEARCH or CONTINUED

    def __len__(self) -> int:
        return len(self.member)


@dataclass(frozen=True)
class Impressions:
    """The page of every session, by its time."""

    member: npt.NDArray[np.int32]  # (pages,)
    at_ms: IntArray  # (pages,)
    title: pages.TitleArray  # (pages, ROWS, RANKS)
    chance: npt.NDArray[np.uint16]  # (pages, ROWS, RANKS): the propensity in 1/pages.STEPS

    def __len__(self) -> int:
        return len(self.member)

    def propensity(self, some: slice) -> FloatArray:
        """The chance with which each title was shown where it was, (n, ROWS, RANKS)."""
        return self.chance[some].astype(np.float32) / np.float32(pages.STEPS)


@dataclass(frozen=True)
class Truth:
    """What nobody outside the simulation can see."""

    catalogue: Catalogue
    population: Population
    finish_probability: FloatArray  # (plays,)

    @property
    def taste_group(self) -> IntArray:
        """Each member's group, (members,)."""
        return self.population.group

    @cached_property
    def examination(self) -> FloatArray:
        """The chance that a cell is looked at, (ROWS, RANKS)."""
        return pages.examination()

    def affinity(self, members: IntArray, titles: IntArray, progress: float = 1.0) -> FloatArray:
        """How much members like titles, (m, t), -1 to 1, after a share of the window has passed."""
        taste = viewing.taste_at(self.population, members, progress)
        affinity: FloatArray = taste @ self.catalogue.vectors[titles].T
        return affinity


@dataclass(frozen=True)
class World:
    """One simulated service over one window of time. `name` tells worlds of other arguments apart, in the ids of their events."""

    name: str
    start_ms: int
    end_ms: int
    catalogue: Catalogue
    population: Population
    plays: Plays
    impressions: Impressions
    truth: Truth

    @classmethod
    def generate(
        cls,
        members: int = 20_000,
        titles: int = 3_000,
        plays: int = 1_000_000,
        days: int = 60,
        end_ms: int = END_MS,
        seed: int = 7,
    ) -> "World":
        """Simulate. The same arguments give the same world.

        Raises
        ------
        InputError : a size that the simulation cannot do.
        """
        check_sizes(members, titles, plays, days)
        seeds = np.random.SeedSequence(seed).spawn(6)
        of_genres, of_titles, of_members, of_sessions, of_plays, of_moods = (np.random.default_rng(part) for part in seeds)
        start_ms = end_ms - days * DAY_MS
        genre_vectors = start.make_genre_vectors(of_genres)
        catalogue = start.make_catalogue(titles, start_ms, days, genre_vectors, of_titles, of_moods)
        population = start.make_population(members, start_ms, days, genre_vectors, of_members)
        # more sessions than needed: those at the window's ends fall partly outside
        mean = float(np.dot(viewing.PLAYS_A_SESSION, range(len(viewing.PLAYS_A_SESSION))))
        count = int(plays / mean * (days + 1) / days * 1.05) + 200
        sessions = viewing.make_sessions(count, population, start_ms, days, of_sessions)
        choices = viewing.choose(catalogue, population, sessions, start_ms, days, of_plays)
        watching = viewing.watch(catalogue, population, sessions, choices, days, of_plays)
        chosen, kept = _keep(sessions, choices, watching, start_ms, end_ms, plays, of_plays)
        table, impressions, finish = _gather(population, sessions, choices, watching, chosen, kept, of_plays)
        arguments = json.dumps([members, titles, plays, days, end_ms, seed])
        name = hashlib.blake2b(arguments.encode(), digest_size=3).hexdigest()
        return cls(name, start_ms, end_ms, catalogue, population, table, impressions, Truth(catalogue, population, finish))

    def titles_table(self) -> pa.Table:
        """The catalogue as `titles.parquet` has it."""
        everywhere = np.asarray(self.catalogue.available.all(axis=0))
        columns = {
            "title_id": _ids("t", np.arange(len(self.catalogue))),
            "name": self.catalogue.names,
            "genres": self.catalogue.genres,
            "released_ms": self.catalogue.released_ms,
            "runtime_s": self.catalogue.runtime_s,
            "countries": [
                [] if everywhere[title] else [COUNTRIES[at] for at in np.flatnonzero(self.catalogue.available[:, title])]
                for title in range(len(self.catalogue))
            ],
            "maturity": self.catalogue.told.ratings,
            "tags": self.catalogue.told.moods,
            "origin": self.catalogue.told.origins,
        }
        return pa.table([pa.array(columns[field.name], field.type) for field in TITLE_SCHEMA], TITLE_SCHEMA)

    def plays_table(self, some: slice | IntArray = slice(None)) -> pa.Table:
        """Plays as `plays.parquet` has them: one `stop` event each."""
        plays = self.plays
        number = np.arange(len(plays))[some]
        row, source = plays.row[some], plays.source[some]
        without_page = pa.array(source != viewing.FROM_PAGE)
        columns = {
            "event_id": _ids(f"play-{self.name}-", number),
            "member_id": _ids("m", plays.member[some]),
            "title_id": _ids("t", plays.title[some]),
            "kind": pa.repeat("stop", len(number)),
            "session_id": _ids(f"session-{self.name}-", plays.session[some]),
            "at_ms": pa.array(plays.at_ms[some]),
            "position_s": pa.array(plays.position_s[some]),
            "runtime_s": pa.array(self.catalogue.runtime_s[plays.title[some]]),
            "watched_s": pa.array(plays.watched_s[some]),
            "device": pa.array(DEVICES).take(pa.array(plays.device[some])),
            "country": pa.array(COUNTRIES).take(pa.array(self.population.country[plays.member[some]])),
            "page_id": _without(_ids(f"page-{self.name}-", plays.session[some]), without_page),
            "row": _without(pa.array(pages.ROW_NAMES).take(pa.array(np.maximum(row, 0))), without_page),
            "rank": _without(pa.array(plays.rank[some], pa.int32()), without_page),
            "weight": pa.nulls(len(number), pa.float64()),
        }
        return pa.table([columns[name] for name in PLAY_SCHEMA.names], PLAY_SCHEMA)

    def write(self, folder: str | Path, until_ms: int | None = None) -> None:
        """Write `titles.parquet` and `plays.parquet` (plays up to and with `until_ms`), each as a whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        stop = len(self.plays) if until_ms is None else self._first_after(until_ms)
        with replaced(folder / "titles.parquet") as target, pq.ParquetWriter(target, TITLE_SCHEMA) as writer:
            writer.write_table(self.titles_table())
        with replaced(folder / "plays.parquet") as target, pq.ParquetWriter(target, PLAY_SCHEMA) as writer:
            for some in _slices(0, stop):
                writer.write_table(self.plays_table(some))

    def events_after(self, after_ms: int, in_full: bool = False) -> Iterator[dict[str, Any]]:
        """Plays that stopped after a time, as values of topic `plays`; see `play_events`."""
        for some in _slices(self._first_after(after_ms), len(self.plays)):
            yield from self.play_events(some, in_full)

    def play_events(self, some: slice, in_full: bool = False) -> Iterator[dict[str, Any]]:
        """Some plays as values of topic `plays`.

        Parameters
        ----------
        some : which of the plays.
        in_full : each play as `start`, a `progress` every `PROGRESS_S`, and `stop`. The stop is the same event either way and
            tells all the time watched; the others tell the position only.
        """
        for play in self.plays_table(some).drop_columns("weight").to_pylist():
            stop = {"schema": SCHEMA_VERSION, **play}
            if in_full:
                yield from _earlier_reports(stop)
            yield stop

    def _first_after(self, at_ms: int) -> int:
        return int(np.searchsorted(self.plays.at_ms, at_ms, side="right"))


def _earlier_reports(stop: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A play's start and progress, told from its stop."""
    begun_ms = stop["at_ms"] - round(1000 * stop["watched_s"])
    for number in range(int(np.ceil(stop["watched_s"] / PROGRESS_S))):
        watched_s = number * PROGRESS_S
        yield stop | {
            "event_id": f"{stop['event_id']}-{number}",
            "kind": "progress" if number else "start",
            "at_ms": begun_ms + round(1000 * watched_s),
            "position_s": round(stop["position_s"] * watched_s / stop["watched_s"], 1),
            "watched_s": 0.0,
        }


def _keep(
    sessions: viewing.Sessions,
    choices: viewing.Choices,
    watching: viewing.Watching,
    start_ms: int,
    end_ms: int,
    plays: int,
    rng: np.random.Generator,
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Choose sessions within the window, at random, until they have the plays that are wanted.

    Returns the chosen sessions in the order of time, and which plays of each to keep, (chosen, MOST): all, but for as many of
    the last one's as are too many.
    """
    played = choices.title >= 0
    last_ms = np.where(played, watching.stop_ms, 0).max(axis=1)
    inside = (sessions.start_ms >= start_ms) & (sessions.start_ms < end_ms) & (last_ms < end_ms)
    order = rng.permutation(np.flatnonzero(inside))
    running = np.cumsum(played[order].sum(axis=1))
    if not len(order) or running[-1] < plays:
        raise InputError(f"the simulated world came to fewer than {plays} plays; give it more days or members")
    chosen = order[: int(np.searchsorted(running, plays)) + 1]
    kept: npt.NDArray[np.bool_] = played[chosen]
    kept[-1, kept[-1].sum() - (running[len(chosen) - 1] - plays) :] = False  # plays fill a session from the left
    by_time = np.argsort(sessions.start_ms[chosen], kind="stable")
    return chosen[by_time], kept[by_time]


def _gather(
    population: Population,
    sessions: viewing.Sessions,
    choices: viewing.Choices,
    watching: viewing.Watching,
    chosen: IntArray,
    kept: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[Plays, Impressions, FloatArray]:
    """The kept plays and the pages of all chosen sessions, each in the order of time."""
    member = sessions.member[chosen].astype(np.int32)
    impressions = Impressions(member, sessions.start_ms[chosen], choices.shown[chosen], choices.chance[chosen])
    bounds = np.cumsum(population.device_shares[member], axis=1)  # (chosen, devices)
    device = (rng.random(len(bounds))[:, None] > bounds[:, :-1]).sum(axis=1).astype(np.int8)  # one a session
    session, number = np.nonzero(kept)
    stop_ms = watching.stop_ms[chosen[session], number]
    order = np.argsort(stop_ms, kind="stable")
    session, number = session[order], number[order]
    at = chosen[session], number
    cell = choices.cell[at]
    plays = Plays(
        member=member[session],
        title=choices.title[at],
        at_ms=stop_ms[order],
        position_s=watching.position_s[at],
        watched_s=watching.watched_s[at],
        device=device[session],
        session=session.astype(np.int32),
        row=np.where(cell >= 0, cell // pages.RANKS, -1).astype(np.int8),
        rank=np.where(cell >= 0, cell % pages.RANKS, -1).astype(np.int8),
        source=choices.source[at],
    )
    return plays, impressions, watching.finish_probability[at]


def _ids(prefix: str, numbers: npt.NDArray[np.integer]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _without(values: pa.Array, mask: pa.Array) -> pa.Array:
    return pc.if_else(mask, pa.scalar(None, values.type), values)


def _slices(begin: int, end: int) -> Iterator[slice]:
    for first in range(begin, end, _ROWS_A_SLICE):
        yield slice(first, min(first + _ROWS_A_SLICE, end))
