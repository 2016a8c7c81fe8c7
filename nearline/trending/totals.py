"""Reads the counters back: decayed totals of each title by segment.

Only windows that changed since the last look are read again, which is the present one and where late events fell. What was
read is forgotten when a new window begins, so that memory is bounded by what Redis holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import redis

from nearline.trending.estimating import Counts
from nearline.trending.shards import CHANGES, KINDS, Shards
from nearline.trending.windows import Windows
from shared.config import Config


@dataclass(frozen=True, slots=True)
class Totals:
    """Decayed counts of all titles.

    Attributes
    ----------
    title_ids : names the columns of all counts.
    segments : segment (`US/3`) to its counts.
    """

    title_ids: list[str]
    segments: dict[str, Counts]

    def sum(self, segments: Iterator[str]) -> Counts:
        """The counts of some segments together."""
        table = np.zeros((len(KINDS), len(self.title_ids)))
        for segment in segments:
            counts = self.segments[segment]
            table += (counts.impressions, counts.takes, counts.starts)
        return Counts(*table)


@dataclass(frozen=True, slots=True)
class _Window:
    """What one shard has counted in one window: for each segment, where in the table (kinds, titles) which count belongs."""

    changes: int
    segments: dict[str, tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int64]]]


@dataclass
class CounterReader:
    """Reads the counters of one configuration, and remembers what it read."""

    client: redis.Redis
    config: Config
    _held: dict[tuple[int, int], _Window] = field(default_factory=dict)
    _index: dict[str, int] = field(default_factory=dict)
    _present: int = -1

    def read(self, now_ms: int) -> Totals:
        """The totals at a moment."""
        shards, windows = Shards.of(self.config), Windows(self.config.trending)
        if windows.of(now_ms) != self._present:
            self._held, self._index, self._present = {}, {}, windows.of(now_ms)
        places = [(shard, window) for shard in range(len(shards.prefixes)) for window in windows.kept(now_ms)]
        pipeline = self.client.pipeline(transaction=False)
        for shard, window in places:
            pipeline.hget(shards.counts(shard, window), CHANGES)
        for place, changes in zip(places, pipeline.execute(), strict=True):
            held = self._held.get(place)
            if changes is None:
                self._held.pop(place, None)
            elif held is None or held.changes != int(changes):
                self._held[place] = self._parse(cast("dict[bytes, bytes]", self.client.hgetall(shards.counts(*place))))
        return self._totals(windows, now_ms)

    def _parse(self, fields: dict[bytes, bytes]) -> _Window:
        changes = int(fields.pop(CHANGES, 0))
        found: dict[str, tuple[list[int], list[int], list[int]]] = {}
        for name, count in fields.items():
            country, part, kind, title_id = name.decode().split("/", 3)
            kinds, titles, counts = found.setdefault(f"{country}/{part}", ([], [], []))
            kinds.append(KINDS.index(kind))
            titles.append(self._index.setdefault(title_id, len(self._index)))
            counts.append(int(count))
        return _Window(
            changes,
            {
                segment: (np.array(kinds, np.intp), np.array(titles, np.intp), np.array(counts, np.int64))
                for segment, (kinds, titles, counts) in found.items()
            },
        )

    def _totals(self, windows: Windows, now_ms: int) -> Totals:
        tables: dict[str, npt.NDArray[np.float64]] = {}
        for (_, window), held in self._held.items():
            weight = windows.weight(window, now_ms)
            for segment, (kinds, titles, counts) in held.segments.items():
                table = tables.get(segment)
                if table is None:
                    table = tables[segment] = np.zeros((len(KINDS), len(self._index)))
                table[kinds, titles] += weight * counts  # no field comes twice in a window
        return Totals(list(self._index), {segment: Counts(*table) for segment, table in tables.items()})
