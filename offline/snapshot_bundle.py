"""What all members of a snapshot share, from some versions of the tables: the catalogue, and the arrays that
`shared.snapshots.Snapshot` describes. `publish` writes it to Redis; the ranker's examples are made with what served before.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from offline import popularity
from shared import tables
from shared.errors import InputError
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY
from shared.lake import Lake
from shared.titles import Title

SOURCES = (tables.TITLES, tables.CANDIDATES, tables.TITLE_FACTORS, tables.SIMILAR, tables.POPULARITY)
"""The tables that a snapshot is made from. `sources` below holds a version of each, by its name."""


def titles(lake: Lake, sources: Mapping[str, int]) -> list[Title]:
    """The catalogue, in the order of its indices: ascending title_id.

    Raises
    ------
    InputError : there are no titles.
    """
    rows = lake.read(tables.TITLES, sources[tables.TITLES.name]).orderBy("title_id").collect()
    if not rows:
        raise InputError(f"the lake at {lake.root} holds no titles yet; run import first")
    return [
        Title(
            row["title_id"],
            row["name"],
            tuple(row["genres"] or ()),
            row["runtime_s"],
            row["released_ms"],
            tuple(row["countries"] or ()),
            row["maturity"],
            tuple(row["tags"] or ()),
            row["origin"],
        )
        for row in rows
    ]


def arrays(lake: Lake, sources: Mapping[str, int], of: list[Title]) -> dict[str, npt.NDArray[Any]]:
    """The snapshot's arrays; see `shared.snapshots.Snapshot`.

    Raises
    ------
    InputError : there are no popularity lists.
    """
    index = {title.title_id: number for number, title in enumerate(of)}
    found = dict(_similar(lake, sources[tables.SIMILAR.name], index))
    found |= factor_arrays(lake, sources, index)
    lists = lake.read(tables.POPULARITY, sources[tables.POPULARITY.name]).groupBy("list")
    for row in lists.agg(F.sort_array(F.collect_list(F.struct("rank", "title_id"))).alias("ranked")).collect():
        ranked = [index[entry["title_id"]] for entry in row["ranked"] if entry["title_id"] in index]
        found[row["list"]] = np.array(ranked, np.int32)
    if popularity.POPULAR not in found or popularity.TRENDING not in found:
        raise InputError(f"the lake at {lake.root} holds no popularity lists yet; run popularity first")
    return found


def _similar(lake: Lake, version: int, index: dict[str, int]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Neighbours as indices, -1 where a title has fewer; worked on as columns, since they are many."""
    rows = lake.read(tables.SIMILAR, version).toArrow().combine_chunks()
    names = pa.array(index, pa.string())  # a dict gives its keys in their order, which is that of the indices
    owners = pc.index_in(rows["title_id"], names)
    lengths = np.asarray(pc.list_value_length(rows["similar"]))
    width = int(lengths.max(initial=0))
    owner = np.repeat(np.asarray(owners.fill_null(-1)), lengths)  # (pairs,)
    neighbour = np.asarray(pc.index_in(pc.list_flatten(rows["similar"]), names).fill_null(-1))  # (pairs,)
    score = np.asarray(pc.list_flatten(rows["scores"]))  # (pairs,)
    known = (owner >= 0) & (neighbour >= 0)
    owner, neighbour, score = owner[known], neighbour[known], score[known]
    order = np.argsort(owner, kind="stable")  # a title's pairs stay best first
    owner, neighbour, score = owner[order], neighbour[order], score[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)  # within the title
    titles = np.full((len(index), width), -1, np.int32)
    scores = np.zeros((len(index), width), np.float32)
    titles[owner, place], scores[owner, place] = neighbour, score
    yield "similar_titles", titles
    yield "similar_scores", scores


def factor_arrays(lake: Lake, sources: Mapping[str, int], index: dict[str, int]) -> dict[str, npt.NDArray[Any]]:
    """What retrieving anew needs of the model behind these very candidates; nothing for a model without factors."""
    rows = lake.read(tables.TITLE_FACTORS, sources[tables.TITLE_FACTORS.name])
    rows = rows.where(F.col("candidates_version") == sources[tables.CANDIDATES.name]).toArrow().combine_chunks()
    if not rows.num_rows:
        return {}
    owners = np.asarray(pc.index_in(rows["title_id"], pa.array(index, pa.string())).fill_null(-1))  # (model's titles,)
    factors = np.asarray(pc.list_flatten(rows["factors"])).reshape(rows.num_rows, -1)  # (model's titles, factors)
    known = owners >= 0
    placed = np.zeros((len(index), factors.shape[1]), np.float32)  # a title that the model does not know stays zero
    placed[owners[known]] = factors[known]
    return {FACTORS_ARRAY: placed, TERMS_ARRAY: np.array(rows["terms"][0].as_py(), np.float64)}
