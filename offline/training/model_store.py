"""Trained models in the lake: a folder for each, and the table that says which is the newest.

Training and loading happen in Spark tasks, so a folder goes between the task's own disk and the lake, never through the
driver.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from offline.models import Model, load_model
from shared import tables
from shared.errors import ModelError
from shared.lake import Lake, get_folder, put_folder


def newest(lake: Lake, name: str) -> str:
    """The URL of the newest trained model of a name.

    Raises
    ------
    ModelError : none was trained yet.
    """
    rows = lake.read(tables.MODELS).where(F.col("name") == name).orderBy(F.desc("trained_at_ms")).limit(1).collect()
    if not rows:
        raise ModelError(f"the lake at {lake.root} holds no {name!r} model yet; run train first, or train --model {name}")
    return lake.url(rows[0]["folder"])


def save(model: Model[Any], url: str) -> None:
    """Put a fitted model into a new folder of the lake."""
    with tempfile.TemporaryDirectory(prefix="marquee-") as folder:
        model.save(Path(folder) / "model")
        put_folder(Path(folder) / "model", url)


@contextmanager
def loaded(url: str) -> Iterator[Model[Any]]:
    """Fetch a model from the lake; its local copy is removed at the end."""
    folder = get_folder(url)
    try:
        yield load_model(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
