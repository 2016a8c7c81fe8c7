"""Each title's nearest neighbours by the iALS of the model in use and by who watched both, worked out in one task where the
model is loaded and the interactions are collected."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from offline.jobs import Context, Job
from offline.models import IALS
from offline.models.blend import part_of
from offline.models.similar import similar_titles
from offline.training import model_store
from offline.training.rows import from_batches
from shared import tables
from shared.errors import ModelError
from shared.lake import ArrowFunction


def work(context: Context) -> dict[str, str]:
    """Write every title's neighbours."""
    lake = context.lake
    training = context.config.training
    finder = _finder(model_store.newest(lake, training.model), training.similar)
    rows = lake.read(tables.INTERACTIONS).repartition(1)
    version = lake.overwrite(rows.mapInArrow(finder, tables.SIMILAR.columns), tables.SIMILAR)
    return {"titles": str(lake.read(tables.SIMILAR, version).count())}


def _finder(url: str, k: int) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        interactions = from_batches(batches)
        with model_store.loaded(url) as model:
            ials = part_of(model, IALS)
            if ials is None:
                raise ModelError(f"the model in use, {model.name!r}, has no iALS, by whose factors titles are similar")
            near = similar_titles(ials.title_factors, interactions.on_titles(ials.title_ids).matrix, k)
            names = pa.array(ials.title_ids, pa.string())
        kept = near.titles >= 0  # (titles, k)
        offsets = pa.array(np.concatenate([[0], np.cumsum(kept.sum(axis=1))]), pa.int32())
        columns = {
            "title_id": names,
            "similar": pa.ListArray.from_arrays(offsets, names.take(pa.array(near.titles[kept]))),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(near.scores[kept])),
            "together": pa.ListArray.from_arrays(offsets, pa.array(near.together[kept])),
        }
        yield pa.RecordBatch.from_pydict(columns)

    return run


JOB = Job(
    name="similar",
    summary="find each title's nearest neighbours",
    reads=(tables.INTERACTIONS, tables.MODELS),
    writes=(tables.SIMILAR,),
    work=work,
    settings=lambda config: [config.training.model, config.training.similar],
)
