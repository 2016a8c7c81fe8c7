"""The public data sets by their published protocols: what is trained on, what is known, what is to be found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from offline.evaluation.holdout import Plan, split_rows
from offline.evaluation.sources import Parts
from offline.interaction_files import read_interactions
from offline.interactions import InteractionRows, Interactions


def gowalla(folder: Path) -> Parts:
    """The LightGCN split."""
    train, test = (Interactions.from_rows(read_interactions(folder / f"{name}.csv.gz")) for name in ("train", "test"))
    return Parts(train, None, test, "Gowalla, the published split")


def beauty(folder: Path) -> Parts:
    """Leave-one-out of the S3-Rec sequences: trained on `train`, asked with `validation` known, for the title of `test`."""
    train, known, test = (
        Interactions.from_rows(read_interactions(folder / f"{name}.csv.gz")) for name in ("train", "validation", "test")
    )
    return Parts(train, known, test, "Amazon Beauty, leave-one-out")


def ml_100k(folder: Path) -> Parts:
    """A random quarter of each member's ratings held out, with a fixed seed. A rating is a weight; each is to be found."""
    ratings = pyarrow.csv.read_csv(
        folder / "u.data",
        read_options=pyarrow.csv.ReadOptions(column_names=["member_id", "title_id", "rating", "at_s"]),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t"),
    )
    at_ms = ratings["at_s"].to_numpy().astype(np.int64) * 1000
    rows = InteractionRows(
        ratings["member_id"].cast(pa.string()),
        ratings["title_id"].cast(pa.string()),
        weight=ratings["rating"].to_numpy().astype(np.float32),
        at_ms=at_ms,
    )
    made = split_rows(rows, Plan(method="random", test_share=0.25, seed=42))
    return Parts(Interactions.from_rows(made.train), None, Interactions.from_rows(made.test), "ml-100k, random 75/25 by member")


SETS: dict[str, Callable[[Path], Parts]] = {"gowalla": gowalla, "amazon-beauty": beauty, "ml-100k": ml_100k}
"""Folder of the public data sets to how it is read."""
