"""Top-K titles for every member from the model in use: partitions of members, the model loaded once in each.

The title factors of its iALS go with them, so that the stream workers can retrieve anew with what these candidates are
comparable to.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F
from scipy import sparse

from offline.candidate_lists import Candidates, NewTitles, candidates
from offline.interactions import id_array, index_of
from offline.jobs import Context, Job
from offline.models import IALS
from offline.models.blend import part_of
from offline.training import model_store
from shared import tables
from shared.lake import ArrowFunction, Lake

_MEMBERS_PER_BLOCK = 4096
_COLUMNS = "member_id STRING, titles ARRAY<STRING>, scores ARRAY<FLOAT>, source_scores MAP<STRING, ARRAY<FLOAT>>"


def work(context: Context) -> dict[str, str]:
    """Rank for every member with the newest model of the name in use; what a member has played is left out."""
    lake, training = context.lake, context.config.training
    url = model_store.newest(lake, training.model)
    seen = lake.read(tables.INTERACTIONS).groupBy("member_id").agg(F.collect_list("title_id").alias("titles"))
    catalogue = _catalogue(lake) if training.new_title_share > 0 else {}
    ranker = _ranker(url, training.candidates, catalogue, training.new_title_share)
    version = lake.overwrite(seen.mapInArrow(ranker, _COLUMNS), tables.CANDIDATES)
    once = lake.spark.range(1, numPartitions=1)
    lake.overwrite(once.mapInArrow(_factors(url, version), tables.TITLE_FACTORS.columns), tables.TITLE_FACTORS)
    return {"members": str(lake.read(tables.CANDIDATES, version).count())}


def _catalogue(lake: Lake) -> dict[str, tuple[str, ...]]:
    """Every title's genres, if there are titles that nobody has played; else nothing."""
    titles = lake.read(tables.TITLES)
    played = lake.read(tables.INTERACTIONS).select("title_id").distinct()
    if titles.join(played, "title_id", "left_anti").isEmpty():
        return {}
    return {row["title_id"]: tuple(row["genres"] or ()) for row in titles.select("title_id", "genres").collect()}


def _ranker(url: str, k: int, catalogue: Mapping[str, Sequence[str]], share: float) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with model_store.loaded(url) as model:
            ials = part_of(model, IALS)
            new = NewTitles(ials, catalogue) if catalogue and ials is not None else None
            known = pa.array(model.title_ids, pa.string())
            names = known if new is None else pa.concat_arrays([known, pa.array(new.title_ids, pa.string())])
            for batch in batches:
                for start in range(0, batch.num_rows, _MEMBERS_PER_BLOCK):
                    block = batch.slice(start, _MEMBERS_PER_BLOCK)
                    members = index_of(id_array(block["member_id"].to_pylist()), model.member_ids)  # (n,)
                    seen = _seen(block["titles"], known)
                    yield _batch(block["member_id"], names, candidates(model, members, min(k, len(names)), seen, new, share))

    return run


def _batch(member_ids: pa.Array, names: pa.Array, found: Candidates) -> pa.RecordBatch:
    """One block as rows of the candidates' table."""
    kept = found.top.titles >= 0  # (n, k)
    lengths = kept.sum(axis=1)  # (n,)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    sources = list(found.scores)
    own = np.stack([found.scores[name] for name in sources], axis=1)  # (n, sources, k)
    own_kept = np.broadcast_to(kept[:, None], own.shape)
    values = np.where(np.isfinite(own), own, np.nan)[own_kept]
    ends = np.cumsum(np.repeat(lengths, len(sources)))
    lists = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), pa.array(values, mask=np.isnan(values)))
    by_source = pa.MapArray.from_arrays(
        pa.array(np.arange(0, len(kept) * len(sources) + 1, len(sources)), pa.int32()),
        pa.array(sources * len(kept), pa.string()),
        lists,
    )
    return pa.RecordBatch.from_arrays(
        [
            member_ids,
            pa.ListArray.from_arrays(offsets, names.take(pa.array(found.top.titles[kept]))),
            pa.ListArray.from_arrays(offsets, pa.array(found.top.scores[kept])),
            by_source,
        ],
        names=["member_id", "titles", "scores", "source_scores"],
    )


def _factors(url: str, candidates_version: int) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            with model_store.loaded(url) as model:
                ials = part_of(model, IALS)
                if ials is None:  # then nothing is retrieved anew until the next run
                    continue
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
    reads=(tables.INTERACTIONS, tables.MODELS, tables.TITLES),
    writes=(tables.CANDIDATES, tables.TITLE_FACTORS),
    work=work,
    settings=lambda config: [config.training.model, config.training.candidates, config.training.new_title_share],
)
