"""Counts starts and pages in Redis, each once, in whatever order and however often they come.

What is grouped here is decided anew by the script for each record, under the fence of the shard; so a batch that fails halfway
may come again, whole or in parts.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import redis
import redis.exceptions

from nearline import metrics
from nearline.records import Record, Source
from nearline.trending import shards as names
from nearline.trending.scripts import COUNT_PAGES, COUNT_STARTS
from nearline.trending.shards import Shards
from nearline.trending.windows import Windows
from shared.config import Config
from shared.events import Impression, Play

CELLS_PER_CALL = 20_000
"""Redis serves nobody else while a script runs: some ten milliseconds for so many cells."""
STARTS_PER_CALL = 2000


class Counted(NamedTuple):
    """What a batch added to the counters; less than it holds where something was counted before."""

    impressions: int = 0
    takes: int = 0
    starts: int = 0


@dataclass
class _Call:
    """One call of a script: the keys, each named once and referred to by its number, and the events of one shard."""

    shard: int
    keys: list[str]
    numbers: dict[str, int] = field(default_factory=dict)
    windows: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    events: list[tuple[object, ...]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    titles: dict[str, int] = field(default_factory=dict)
    weight: int = 0

    def key(self, name: str) -> int:
        """The number of a key, from 1."""
        number = self.numbers.get(name)
        if number is None:
            self.keys.append(name)
            number = self.numbers[name] = len(self.keys)
        return number

    def place(self, source: Source, partition: int) -> int:
        """The number of a partition's field in the fence, from 1."""
        return self.places.setdefault(f"{source.topic}/{source.epoch}/{partition}", len(self.places) + 1)

    def title(self, title_id: str) -> int:
        """The number of a title, from 1."""
        return self.titles.setdefault(title_id, len(self.titles) + 1)


class TrendingCounter:
    """Counts for one namespace. Called from one thread at a time.

    Parameters
    ----------
    clock : the present time in Unix milliseconds: it decides which windows are still counted.
    """

    def __init__(
        self, client: redis.Redis, config: Config, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._client = client
        self._shards = Shards.of(config)
        self._windows = Windows(config.trending)
        self._join_ms = config.trending.join_s * 1000
        self._clock = clock

    def count_starts(self, source: Source, starts: Iterable[tuple[Record, Play]]) -> Counted:
        """Count starts of titles, and as takes those whose page showed the title.

        Parameters
        ----------
        starts : in the order of their offsets within each partition.
        """
        kept = self._windows.kept(self._clock())
        calls: dict[int, _Call] = {}
        done: list[_Call] = []
        late = 0
        for record, play in starts:
            if self._windows.of(play.at_ms) not in kept:
                late += 1
                continue
            call = self._room(calls, done, self._shards.of_member(play.member_id), STARTS_PER_CALL)
            self._add_start(call, source, record, play, kept)
        metrics.TRENDING_LATE.labels("start").inc(late)
        return self._run(COUNT_STARTS, [*done, *calls.values()])

    def count_pages(self, source: Source, pages: Iterable[tuple[Record, Impression]]) -> Counted:
        """Count the cells of pages, and as takes those whose start came before the page; see `count_starts`."""
        kept = self._windows.kept(self._clock())
        calls: dict[int, _Call] = {}
        done: list[_Call] = []
        late = 0
        for record, page in pages:
            if self._windows.of(page.at_ms) not in kept:
                late += 1
                continue
            call = self._room(calls, done, self._shards.of_member(page.member_id), CELLS_PER_CALL)
            self._add_page(call, source, record, page)
        metrics.TRENDING_LATE.labels("page").inc(late)
        return self._run(COUNT_PAGES, [*done, *calls.values()])

    def _room(self, calls: dict[int, _Call], done: list[_Call], shard: int, limit: int) -> _Call:
        """The call that takes a shard's next event; one that is full goes to `done`, before its successor."""
        call = calls.get(shard)
        if call is not None and call.weight >= limit:
            done.append(call)
            call = None
        if call is None:
            call = calls[shard] = _Call(shard, [self._shards.fence(shard)])
        return call

    def _add_start(self, call: _Call, source: Source, record: Record, play: Play, kept: range) -> None:
        window = self._windows.of(play.at_ms)
        segment = self._windows.segment(play.country, play.at_ms)
        page = 0
        if play.page_id:
            page = call.key(self._shards.page(call.shard, names.page_digest(play.member_id, play.page_id)))
            first = self._windows.of(play.at_ms - self._join_ms)
            for of_page in range(first, window + 2):  # where the page may count, if this start is to be its take
                if of_page in kept:
                    self._counts(call, of_page)
        call.events.append(
            (
                call.place(source, record.partition),
                record.offset,
                play.at_ms,
                segment,
                play.title_id,
                self._counts(call, window),
                call.key(self._shards.starts(call.shard, window)),
                page,
                names.cell_code(play.title_id),
            )
        )
        call.digests.append(names.viewer_digest(play.member_id, play.title_id, segment))
        call.weight += 1

    def _add_page(self, call: _Call, source: Source, record: Record, page: Impression) -> None:
        window = self._windows.of(page.at_ms)
        digest = names.page_digest(page.member_id, page.page_id)
        call.events.append(
            (
                call.place(source, record.partition),
                record.offset,
                page.at_ms,
                self._windows.segment(page.country, page.at_ms),
                self._counts(call, window),
                call.key(self._shards.seen(call.shard, window)),
                call.key(self._shards.page(call.shard, digest)),
                [call.title(title_id) for title_id in dict.fromkeys(cell.title_id for cell in page.cells)],
            )
        )
        call.digests.append(digest)
        call.weight += 1 + len(page.cells)

    def _counts(self, call: _Call, window: int) -> int:
        known = call.windows.get(window)
        if known is None:
            number = call.key(self._shards.counts(call.shard, window))
            known = call.windows[window] = (window, number, self._windows.expires_at_ms(window))
        return known[1]

    def _run(self, script: str, calls: Sequence[_Call]) -> Counted:
        """Run the calls one after the other: a later one of a shard must not be counted when an earlier one failed."""
        total = Counted()
        sha = hashlib.sha1(script.encode()).hexdigest()
        for call in calls:
            batch = (
                2 * self._join_ms,
                self._join_ms,
                self._windows.length_ms,
                list(call.windows.values()),
                list(call.places),
                call.events,
                list(call.titles),
                [names.cell_code(title_id) for title_id in call.titles],
            )
            arguments = (len(call.keys), *call.keys, msgspec.msgpack.encode(batch), *call.digests)
            try:
                reply = self._client.evalsha(sha, *arguments)  # type: ignore[arg-type]
            except redis.exceptions.NoScriptError:
                reply = self._client.eval(script, *arguments)  # type: ignore[arg-type]
            total = Counted(*(before + added for before, added in zip(total, reply, strict=True)))
        for kind, count in zip(("impression", "take", "start"), total, strict=True):
            metrics.TRENDING_COUNTED.labels(kind).inc(count)
        return total
