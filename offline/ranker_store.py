"""Trained rankers in the lake: a folder for each, a row of the table that says how good it was, and which one is published."""

import shutil
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from pyspark.sql import functions as F

from offline.models.ranker import RankerModel
from shared import tables
from shared.errors import ModelError
from shared.lake import Lake, get_folder

METRIC = "unbiased_gain"
"""What a ranker must be better at than the blend's own scores, on pages that it was not trained on."""


def is_better(metrics: Mapping[str, float]) -> bool:
    """Whether a ranker orders titles better than the blend alone."""
    return metrics[f"ranker_{METRIC}"] > metrics[f"blend_{METRIC}"]


def published_arrays(lake: Lake, version: int) -> tuple[dict[str, npt.NDArray[Any]], str]:
    """The newest ranker's arrays for a snapshot, and its version; none, and why, where there is none to publish.

    Parameters
    ----------
    version : of the table of rankers.
    """
    rows = lake.read(tables.RANKERS, version).orderBy(F.desc("trained_at_ms"), "version").limit(1).collect()
    if not rows:
        return {}, "none: none was trained"
    [row] = rows
    if not is_better(row["metrics"]):
        return {}, "none: the newest orders no better than the blend"
    folder = get_folder(lake.url(row["folder"]))
    try:
        return RankerModel.load(folder).export(), row["version"]
    except ModelError as error:  # of another version of this code; the next run trains one for this version
        return {}, f"none: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
