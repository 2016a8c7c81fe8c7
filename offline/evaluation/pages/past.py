"""A service's history, cut at a moment: titles and plays of a folder in any layout that `import` reads, in the order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from offline.interactions import Interactions
from offline.layouts import PLAY_SCHEMA, BadLine, check_limits, detect
from shared.config import ImportConfig
from shared.errors import InputError
from shared.events import SCHEMA_VERSION, Play
from shared.histories import GLANCE_SHARE, REPEAT_LIMIT
from shared.titles import Title

_EVENT = tuple(name for name in PLAY_SCHEMA.names if name != "weight")


@dataclass(frozen=True)
class History:
    """What there is, and what was played.

    Attributes
    ----------
    titles : in ascending order of title_id.
    plays : `PLAY_SCHEMA`, by time, each event once.
    """

    titles: list[Title]
    plays: pa.Table

    @classmethod
    def read(cls, folder: str) -> Self:
        """Read a folder.

        Raises
        ------
        InputError : it is missing, of no known layout, empty, or has more lines that cannot be used than `import` puts up with.
        """
        layout = detect(folder)
        catalogue = layout.titles()
        batches: list[pa.RecordBatch] = []
        bad: list[BadLine] = []
        for batch in layout.history(catalogue):
            batches.append(batch.events)
            bad += batch.bad
        plays = pa.Table.from_batches([_complete(batch) for batch in batches], PLAY_SCHEMA)
        if bad:
            check_limits(len(bad), len(bad) + len(plays), ImportConfig(), bad)
        return cls.of(catalogue, plays)

    @classmethod
    def of(cls, catalogue: pa.Table, plays: pa.Table) -> Self:
        """From tables as `offline.layouts` gives them."""
        titles = [_title(row) for row in catalogue.sort_by("title_id").to_pylist()]
        ordered = plays.sort_by([("at_ms", "ascending"), ("event_id", "ascending")])
        ids = ordered["event_id"].to_numpy(zero_copy_only=False)
        _, first = np.unique(ids, return_index=True)
        return cls(titles, ordered.take(pa.array(np.sort(first))))

    @property
    def at_ms(self) -> npt.NDArray[np.int64]:
        """When each play was reported, (plays,), ascending."""
        return np.asarray(self.plays["at_ms"])

    def cut(self, share: float) -> tuple[Self, Self]:
        """What came before the newest `share` of the plays, and those.

        Raises
        ------
        InputError : nothing is left on one side.
        """
        at_ms = self.at_ms
        cut_ms = at_ms[int(len(at_ms) * (1 - share))] if len(at_ms) else 0
        stop = int(np.searchsorted(at_ms, cut_ms))
        if not 0 < stop < len(at_ms):
            raise InputError(
                f"{len(at_ms):,} plays cannot be split by time so that the newest {share:.0%} come after all others; "
                "pages are judged by what was played later"
            )
        return type(self)(self.titles, self.plays[:stop]), type(self)(self.titles, self.plays[stop:])

    def of_members(self, member_ids: Sequence[str]) -> Self:
        """The plays of some members only."""
        theirs = pc.is_in(self.plays["member_id"], pa.array(member_ids, pa.string()))
        return type(self)(self.titles, self.plays.filter(theirs))

    def interactions(self) -> Interactions:
        """One weighted interaction a member and title, as `offline.labels` makes them of the lake's plays."""
        share = pc.min_element_wise(pc.divide(self.plays["position_s"], self.plays["runtime_s"]), 1.0)
        plays = self.plays.append_column("share", share)
        pair = ["member_id", "title_id"]
        sessions = plays.group_by([*pair, "session_id"]).aggregate([("share", "max"), ("weight", "max"), ("at_ms", "max")])
        merged = sessions.group_by(pair).aggregate([("share_max", "sum"), ("weight_max", "max"), ("at_ms_max", "max")])
        watched = np.asarray(merged["share_max_sum"])  # (pairs,)
        weight = np.where(watched < GLANCE_SHARE, 0.0, np.minimum(watched, REPEAT_LIMIT))
        explicit = np.asarray(merged["weight_max_max"].cast(pa.float64()).combine_chunks(), dtype=np.float64)  # NaN where none
        given = np.asarray(self.plays["weight"].drop_null())
        if (given > 0).any():
            weight = np.where(np.isnan(explicit), weight, explicit / given[given > 0].mean())
        return Interactions.from_columns(
            merged["member_id"], merged["title_id"], weight.astype(np.float32), np.asarray(merged["at_ms_max_max"])
        )

    def events(self) -> list[Play]:
        """The plays as events, in their order."""
        rows: list[dict[str, Any]] = self.plays.select(_EVENT).to_pylist()
        return [Play(schema=SCHEMA_VERSION, **row) for row in rows]


def _title(row: dict[str, Any]) -> Title:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Title(**values)


def _complete(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With all columns of `PLAY_SCHEMA`, empty where a layout has none."""
    there = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in PLAY_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PLAY_SCHEMA)
