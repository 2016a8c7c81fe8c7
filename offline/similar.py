"""Each title's nearest neighbours by the iALS of the model in use, worked out in one task where the model is loaded."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from offline.jobs import Context, Job
from offline.models import IALS
from offline.models.blend import part_of
from offline.models.similar import similar_titles
from offline.training import model_store
from shared import tables
from shared.errors import ModelError
from shared.lake import ArrowFunction


def work(context: Context) -> dict[str, str]:
    """Write every title's neighbours."""
    lake = context.lake
    training = context.config.training
    finder = _finder(model_store.newest(lake, training.model), training.similar)
    once = lake.spark.range(1, numPartitions=1)
    version = lake.overwrite(once.mapInArrow(finder, tables.SIMILAR.columns), tables.SIMILAR)
    return {"titles": str(lake.read(tables.SIMILAR, version).count())}


def _finder(url: str, k: int) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            with model_store.loaded(url) as model:
                ials = part_of(model, IALS)
                if ials is None:
                    raise ModelError(f"the model in use, {model.name!r}, has no iALS, by whose factors titles are similar")
                top = similar_titles(ials.title_factors, ials.popularity, k)
                names = pa.array(ials.title_ids, pa.string())
            kept = top.titles >= 0  # (titles, k)
            offsets = pa.array(np.concatenate([[0], np.cumsum(kept.sum(axis=1))]), pa.int32())
            yield pa.RecordBatch.from_arrays(
                [
                    names,
                    pa.ListArray.from_arrays(offsets, names.take(pa.array(top.titles[kept]))),
                    pa.ListArray.from_arrays(offsets, pa.array(top.scores[kept])),
                ],
                names=["title_id", "similar", "scores"],
            )

    return run


JOB = Job(
    name="similar",
    summary="find each title's nearest neighbours",
    reads=(tables.MODELS,),
    writes=(tables.SIMILAR,),
    work=work,
    settings=lambda config: [config.training.model, config.training.similar],
)
