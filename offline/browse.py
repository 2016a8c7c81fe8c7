"""The browse model of a snapshot: how likely members look at each cell, fitted to the newest logged pages and to what was played
from them. `publish` calls it; page policies place rows by it (`shared.pages.attention`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from offline.evaluation.pages.browse_fit import LEAST_PLAYS, Showings, fit
from offline.evaluation.pages.impressions import screens
from shared import tables
from shared.config import Config
from shared.lake import Lake
from shared.pages.attention import ARRAY
from shared.pages.devices import Devices

_CELL = ("page_id", "title_id", "row", "rank")


def published_arrays(lake: Lake, config: Config) -> tuple[dict[str, npt.NDArray[Any]], str]:
    """The parameters for a snapshot, and what they rest on; none, and why, where the log tells too little.

    Page policies then have the default parameters.
    """
    if not lake.version(tables.IMPRESSIONS):
        return {}, "default: no page was logged yet"
    found = fit(showings(lake, config.training.ranker_pages, Devices(config.page, config.online)))
    if found.plays < LEAST_PLAYS:
        return {}, f"default: {found.plays} plays tell something of where members look, at least {LEAST_PLAYS} are due"
    return {ARRAY: found.model.to_array()}, f"fitted to {found.plays} plays"


def showings(lake: Lake, limit: int, devices: Devices) -> Showings:
    """Cells of the newest pages, at most `limit` of them, of titles that their member played from one of these."""
    pages = lake.read(tables.IMPRESSIONS).orderBy(F.desc("at_ms"), "page_id").limit(limit)
    cells = pages.select("page_id", "member_id", "device", F.explode("cells").alias("cell")).select(
        "page_id", "member_id", "device", "cell.title_id", "cell.row", "cell.row_index", "cell.rank"
    )
    plays = lake.read(tables.PLAYS).where(F.col("page_id").isNotNull()).select(*_CELL).distinct()
    judged = cells.join(plays.withColumn("is_played", F.lit(True)), list(_CELL), "left").persist()
    try:
        told = judged.where("is_played").select("member_id", "title_id").distinct()
        rows = judged.join(told, ["member_id", "title_id"], "left_semi")
        found = rows.select("member_id", "title_id", "device", "row_index", "rank", "is_played").toArrow().combine_chunks()
    finally:
        judged.unpersist()
    members, titles = (pc.dictionary_encode(found[name].combine_chunks()) for name in ("member_id", "title_id"))
    pairs = np.asarray(members.indices, dtype=np.int64) * max(1, len(titles.dictionary)) + np.asarray(titles.indices)
    screen = screens(found["device"].to_pylist(), devices)  # (n, 2)
    return Showings(
        pairs=pairs,
        rows=np.asarray(found["row_index"]),
        ranks=np.asarray(found["rank"]),
        visible_rows=screen[:, 0],
        visible_cells=screen[:, 1],
        is_played=np.asarray(found["is_played"].cast(pa.bool_()).fill_null(False)).astype(np.bool_),
    )
