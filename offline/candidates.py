"""Top-K titles for every member from the newest model: partitions of members, the model loaded once in each.

The model's title factors go with them, so that the stream workers can retrieve anew with what these candidates come from.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F
from scipy import sparse

from offline.interactions import id_array, index_of
from offline.jobs import Context, Job
from offline.models import IALS
from offline.training import model_store
from shared import tables
from shared.lake import ArrowFunction

_MEMBERS_PER_BLOCK = 4096


def work(context: Context) -> dict[str, str]:
    """Rank for every member of the newest iALS; what a member has played is left out."""
    lake = context.lake
    url = model_store.newest(lake, "ials")
    seen = lake.read(tables.INTERACTIONS).groupBy("member_id").agg(F.collect_list("title_id").alias("titles"))
    version = lake.overwrite(
        seen.mapInArrow(
            _ranker(url, context.config.training.candidates), "member_id STRING, titles ARRAY<STRING>, scores ARRAY<FLOAT>"
        ),
        tables.CANDIDATES,
    )
    once = lake.spark.range(1, numPartitions=1)
    lake.overwrite(once.mapInArrow(_factors(url, version), tables.TITLE_FACTORS.columns), tables.TITLE_FACTORS)
    return {"members": str(lake.read(tables.CANDIDATES, version).count())}


def _ranker(url: str, k: int) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with model_store.loaded(url) as model:
            names = pa.array(model.title_ids, pa.string())
            for batch in batches:
                for start in range(0, batch.num_rows, _MEMBERS_PER_BLOCK):
                    block = batch.slice(start, _MEMBERS_PER_BLOCK)
                    members = index_of(id_array(block["member_id"].to_pylist()), model.member_ids)  # (n,)
                    top = model.recommend(members, min(k, len(names)), exclude=_seen(block["titles"], names))
                    kept = top.titles >= 0  # (n, k)
                    offsets = pa.array(np.concatenate([[0], np.cumsum(kept.sum(axis=1))]), pa.int32())
                    titles = names.take(pa.array(top.titles[kept]))
                    yield pa.RecordBatch.from_arrays(
                        [
                            block["member_id"],
                            pa.ListArray.from_arrays(offsets, titles),
                            pa.ListArray.from_arrays(offsets, pa.array(top.scores[kept])),
                        ],
                        names=["member_id", "titles", "scores"],
                    )

    return run


def _factors(url: str, candidates_version: int) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            with model_store.loaded(url) as model:
                ials = cast("IALS", model)
                titles, width = ials.title_factors.shape
                columns = {
                    "title_id": pa.array(ials.title_ids, pa.string()),
                    "factors": _lists(ials.title_factors.ravel(), width),
                    "terms": _lists(np.tile(np.array(ials.terms, np.float64), titles), len(ials.terms)),
                    "candidates_version": pa.array(np.full(titles, candidates_version, np.int64)),
                }
            yield pa.RecordBatch.from_pydict(columns)

    return run


def _lists(values: "np.ndarray[Any, np.dtype[np.floating[Any]]]", width: int) -> pa.ListArray:
    """Lists of `width` values each."""
    return pa.ListArray.from_arrays(pa.array(np.arange(0, len(values) + 1, width, dtype=np.int32)), pa.array(values))


def _seen(titles: pa.ListArray, names: pa.Array) -> "sparse.csr_array[np.float32]":
    """What each member of a block has played, `(members, titles)` CSR."""
    index = index_of(titles.flatten(), names)  # (entries,)
    members = np.repeat(np.arange(len(titles)), titles.value_lengths().to_numpy())  # (entries,)
    known = index >= 0
    cells = (np.ones(int(known.sum()), np.float32), (members[known], index[known]))
    return sparse.csr_array(cells, shape=(len(titles), len(names)))


JOB = Job(
    name="candidates",
    summary="rank the best titles for every member",
    reads=(tables.INTERACTIONS, tables.MODELS),
    writes=(tables.CANDIDATES, tables.TITLE_FACTORS),
    work=work,
    settings=lambda config: config.training.candidates,
)
