"""Invented pages and starts for tests of trending, the counts that they must come to, and the counts that Redis has."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import redis

from nearline.records import Arrived, Source
from nearline.trending.shards import Shards
from nearline.trending.windows import Windows
from shared import events
from shared.config import Config
from shared.events import Cell, Impression, Play

MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * MINUTE_MS
NOW_MS = (time.time_ns() // 1_000_000 // _DAY_MS + 1) * _DAY_MS + (8 * 60 + 53) * MINUTE_MS
"""Tomorrow morning: Redis expires by the real clock, and the part of the day must not depend on when tests run."""
COUNTRIES = ("US", "IN", "DE")
PLAYS = Source("plays", 1, events.decode_play)
IMPRESSIONS = Source("impressions", 1, events.decode_impression)

Counts = Counter[tuple[int, str]]
"""(window, field of the counters) to a count, the shards together."""


def start(member: str, title: str, page: str | None, *, at_ms: int = NOW_MS, country: str = "US", number: int = 0) -> Play:
    """A start of a title, from a page or not."""
    return Play(
        schema=1,
        event_id=f"{member}/{title}/{page}/{at_ms}/{number}",
        member_id=member,
        title_id=title,
        kind="start",
        session_id="s1",
        at_ms=at_ms,
        position_s=0.0,
        runtime_s=100.0,
        watched_s=0.0,
        device="tv",
        country=country,
        page_id=page,
        row="trending" if page else None,
        rank=0 if page else None,
    )


def page_of(member: str, page: str, titles: Iterable[str], *, at_ms: int = NOW_MS, country: str | None = "US") -> Impression:
    """A page that showed some titles in one row."""
    return Impression(
        schema=1,
        page_id=page,
        member_id=member,
        at_ms=at_ms,
        snapshot="v1",
        fence={},
        allocation={},
        cells=[
            Cell(row="trending", row_index=0, rank=rank, title_id=title, tier="live", propensity=1.0)
            for rank, title in enumerate(titles)
        ],
        country=country,
        device="tv",
    )


def arrived(offset: int, event: Play | Impression, partition: int = 0) -> Arrived:
    """The event as a record."""
    return Arrived(partition, offset, event.at_ms, event.member_id.encode(), events.encode(event))


@dataclass
class TrendingLog:
    """Pages and starts in the order they came to Kafka, each in the partition of its member."""

    partitions: int = 3
    plays: dict[int, list[Play]] = field(default_factory=dict)
    pages: dict[int, list[Impression]] = field(default_factory=dict)

    @staticmethod
    def invented(seed: int, pages: int = 60) -> "TrendingLog":
        """Pages with starts of theirs before and after them, starts without pages, and many of all repeated or out of order."""
        draw = random.Random(seed)
        found: list[Play | Impression] = []
        for number in range(pages):
            member = f"m{draw.randrange(12)}"
            country = COUNTRIES[int(member[1:]) % len(COUNTRIES)]
            at_ms = NOW_MS - (205 + draw.randrange(170)) * MINUTE_MS  # all that follows is within the windows kept
            titles = [f"t{title}" for title in draw.choices(range(40), k=draw.randrange(1, 12))]
            found.append(page_of(member, f"page{number}", titles, at_ms=at_ms, country=country))
            for _ in range(draw.randrange(4)):
                title = draw.choice([*titles, "t99"])
                page = draw.choice([f"page{number}", f"page{number}", None, "never"])
                later_ms = draw.choice((-90, -5, 0, 1, 30, 119, 120, 121, 200)) * MINUTE_MS
                found.append(start(member, title, page, at_ms=at_ms + later_ms, country=country, number=len(found)))
        found += draw.choices(found, k=len(found) // 2)
        draw.shuffle(found)
        log = TrendingLog()
        for event in found:
            log.add(event)
        return log

    def add(self, event: Play | Impression) -> None:
        """Append an event to its topic."""
        partition = sum(event.member_id.encode()) % self.partitions
        if isinstance(event, Play):
            self.plays.setdefault(partition, []).append(event)
        else:
            self.pages.setdefault(partition, []).append(event)

    def oracle(self, config: Config) -> Counts:
        """What must be counted, whatever the order: sets of what was shown, started and taken."""
        windows, join_ms = Windows(config.trending), config.trending.join_s * 1000
        pages = {page.page_id: page for page in itertools.chain(*self.pages.values())}
        plays = list(itertools.chain(*self.plays.values()))

        def place(event: Play | Impression, kind: str, title: str) -> tuple[int, str]:
            return windows.of(event.at_ms), f"{windows.segment(event.country, event.at_ms)}/{kind}/{title}"

        shown = {(page, cell.title_id) for page, found in pages.items() for cell in found.cells}
        started = {(play.member_id, place(play, "p", play.title_id)) for play in plays}
        taken = {
            (play.page_id, play.title_id)
            for play in plays
            if (play.page_id, play.title_id) in shown
            and -windows.length_ms <= play.at_ms - pages[str(play.page_id)].at_ms <= join_ms
        }
        counts: Counts = Counter(where for _, where in started)
        counts.update(place(pages[page], "i", title) for page, title in shown)
        counts.update(place(pages[str(page)], "t", title) for page, title in taken)
        return counts


def counts_in_redis(client: redis.Redis, config: Config) -> Counts:
    """What Redis has counted."""
    found: Counts = Counter()
    for prefix in Shards.of(config).prefixes:
        for key in client.scan_iter(match=f"{prefix}:counts:*", count=1000):
            window = int(key.rpartition(b":")[2])
            for name, count in client.hgetall(key).items():
                if name != b"#":
                    found[window, name.decode()] += int(count)
    return found
