"""Invented plays as a service would send them: who watches what, when each report is made, and when it arrives.

Everything follows from a `Workload`, so the processes that send it agree without talking to each other. `arrivals` lays
out the reports of some partitions; `records` turns them into what Kafka stores, as fast as plain Python can.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

START_MS = 1_790_000_000_000
REPORT_S = 60.0
"""Between two reports of one viewing."""
EVENTS_PER_VIEWING = 6
ACTIVE_SHARE = 0.1
"""Of all members, those who watch at one time."""
ACTIVITY_SIGMA = 1.0
"""Of the log-normal that says how much a member watches: the most active tenth make two fifths of the viewings."""
LATE_SHARE, LATE_MEAN_S = 0.02, 60.0
REPEATED_SHARE, REPEATED_MEAN_S = 0.01, 20.0

KINDS = ("start", "progress", "stop")
DEVICES = ("tv", "tv", "tv", "phone", "tablet", "web")
COUNTRIES = ("US", "US", "DE", "BR", "IN", "JP", "GB", "FR")
ROWS = ("continue-watching", "top-picks", "trending", "because-you-watched", "new")

Kind = Literal["realistic", "spread"]
Ints = npt.NDArray[np.int64]
Record = tuple[bytes, bytes, int]
"""Key, value, timestamp in milliseconds."""


@dataclass(frozen=True)
class Workload:
    """One log of plays.

    Parameters
    ----------
    kind : `realistic` interleaves viewings by time of arrival, with late and repeated reports; in `spread` every event is
        another member's, all members in turn, so that a batch has one event a member.
    titles : they are watched by Zipf's law.
    """

    kind: Kind
    events: int
    members: int
    titles: int = 3000
    seed: int = 7

    def member_ids(self) -> list[str]:
        """Every member's id: 16 hexadecimal digits."""
        return _identifiers(self._random(0), self.members, 16)

    def title_ids(self) -> list[str]:
        """Every title's id."""
        return [f"tt{1_000_003 * (number + 1) % 10_000_019:07}" for number in range(self.titles)]

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, stream))


@dataclass(frozen=True)
class Arrivals:
    """Reports in the order in which they arrive, and the viewings that they are about. All arrays of one length each."""

    viewing: Ints  # (events,) index into the viewings' arrays
    number: Ints  # (events,) which report of its viewing; equal pairs are one report that came twice
    arrived_ms: Ints  # (events,)
    member: Ints  # (viewings,)
    title: Ints  # (viewings,)
    began_ms: Ints  # (viewings,)
    reports: Ints  # (viewings,) how many the viewing has
    position_s: npt.NDArray[np.float64]  # (viewings,) where in the title it began
    runtime_s: npt.NDArray[np.float64]  # (viewings,)


def arrivals(workload: Workload) -> Arrivals:
    """Lay out the whole log."""
    return _spread(workload) if workload.kind == "spread" else _realistic(workload)


def _realistic(workload: Workload) -> Arrivals:
    draw = workload._random(1)
    viewings = int(workload.events / EVENTS_PER_VIEWING * 1.05) + 50  # a little more, then cut
    weights = draw.lognormal(0.0, ACTIVITY_SIGMA, workload.members)
    member = draw.choice(workload.members, size=viewings, p=weights / weights.sum())
    popularity = 1.0 / np.arange(1, workload.titles + 1)
    title = draw.choice(workload.titles, size=viewings, p=popularity / popularity.sum())
    lasts_s = workload.events * REPORT_S / max(1.0, workload.members * ACTIVE_SHARE)
    began_ms = START_MS + (draw.random(viewings) * lasts_s * 1000).astype(np.int64)
    reports = 1 + draw.geometric(1 / (EVENTS_PER_VIEWING - 1), size=viewings)  # a start, some progress, a stop
    runtime_s = _runtimes(workload)[title]
    position_s = np.where(draw.random(viewings) < 0.5, 0.0, draw.random(viewings) * runtime_s)

    viewing = np.repeat(np.arange(viewings), reports)
    number = np.arange(len(viewing)) - np.repeat(np.cumsum(reports) - reports, reports)
    arrived_ms = began_ms[viewing] + (number * REPORT_S * 1000).astype(np.int64)
    late = draw.random(len(viewing)) < LATE_SHARE
    arrived_ms[late] += (draw.exponential(LATE_MEAN_S, int(late.sum())) * 1000).astype(np.int64)
    again = np.flatnonzero(draw.random(len(viewing)) < REPEATED_SHARE)
    again_ms = arrived_ms[again] + (draw.exponential(REPEATED_MEAN_S, len(again)) * 1000).astype(np.int64)
    viewing, number = np.concatenate([viewing, viewing[again]]), np.concatenate([number, number[again]])
    arrived_ms = np.concatenate([arrived_ms, again_ms])
    order = np.argsort(arrived_ms, kind="stable")[: workload.events]
    return Arrivals(viewing[order], number[order], arrived_ms[order], member, title, began_ms, reports, position_s, runtime_s)


def _spread(workload: Workload) -> Arrivals:
    """One report a viewing, members in turn, each with another title than the time before."""
    draw = workload._random(1)
    event = np.arange(workload.events)
    member = event % workload.members
    title = (draw.integers(workload.titles, size=workload.members)[member] + event // workload.members) % workload.titles
    at_ms = START_MS + event * 2
    runtime_s = _runtimes(workload)[title]
    ones = np.ones(workload.events, dtype=np.int64)
    position_s = draw.random(workload.events) * runtime_s
    return Arrivals(event, np.zeros_like(event), at_ms, member, title, at_ms, ones, position_s, runtime_s)


def _runtimes(workload: Workload) -> npt.NDArray[np.float64]:
    """Seconds, (titles,): episodes and films."""
    draw = workload._random(2)
    short = draw.random(workload.titles) < 0.6
    return np.where(short, draw.integers(20, 60, workload.titles), draw.integers(80, 150, workload.titles)) * 60.0


_TEMPLATE = (
    '{"schema":1,"event_id":"%s","member_id":"%s","title_id":"%s","kind":"%s","session_id":"%s","at_ms":%d,'
    '"position_s":%.1f,"runtime_s":%.1f,"watched_s":%.1f,%s}'
)


class Encoder:
    """Makes records of a log that is laid out."""

    def __init__(self, workload: Workload, log: Arrivals) -> None:
        self._log = log
        self._seed = workload.seed
        self._members = workload.member_ids()
        self._keys = [member.encode() for member in self._members]
        self._titles = workload.title_ids()
        draw = workload._random(3)
        pages = _identifiers(draw, 1000, 32)
        self._ends = [
            f'"device":"{DEVICES[draw.integers(len(DEVICES))]}","country":"{COUNTRIES[draw.integers(len(COUNTRIES))]}",'
            f'"page_id":"{_uuid(page)}","row":"{ROWS[draw.integers(len(ROWS))]}","rank":{draw.integers(20)}'
            for page in pages
        ]

    def records(self, events: Ints) -> Iterator[Record]:
        """Some events of the log by their index, in that order. A repeated report has the same bytes each time."""
        log = self._log
        viewing, number = log.viewing[events], log.number[events]
        reports = log.reports[viewing]
        kind = np.where(number == 0, 0, np.where(number == reports - 1, 2, 1))
        at_ms = log.began_ms[viewing] + (number * REPORT_S * 1000).astype(np.int64)
        position_s = np.minimum(log.position_s[viewing] + number * REPORT_S, log.runtime_s[viewing])
        columns = (viewing, number, log.member[viewing], log.title[viewing], kind, at_ms, log.arrived_ms[events])
        rows = zip(*(column.tolist() for column in columns), position_s.tolist(), log.runtime_s[viewing].tolist(), strict=True)
        members, keys, titles, ends = self._members, self._keys, self._titles, self._ends
        for view, report, member, title, name, made_ms, arrived_ms, position, runtime in rows:
            identity = view * 2_654_435_761 % 2**32  # looks random, is another for every viewing
            session = f"{identity:08x}-5e55-4a0b-9c1d-{view:012x}"
            event = f"{identity:08x}-{report:04x}-4c7e-8f2a-{view:012x}"
            value = _TEMPLATE % (
                *(event, members[member], titles[title], KINDS[name], session, made_ms),
                *(position, runtime, REPORT_S if report else 0.0, ends[view % len(ends)]),
            )
            yield keys[member], value.encode(), arrived_ms


def _identifiers(draw: np.random.Generator, count: int, digits: int) -> list[str]:
    drawn = draw.bytes(count * digits // 2).hex()
    return [drawn[at : at + digits] for at in range(0, len(drawn), digits)]


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
