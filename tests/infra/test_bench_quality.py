"""The published protocols as the bench reads them, and its rows, on data small enough to know the outcome."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from infra.bench.models import published, quality
from infra.bench.models.quality import Entry, Published
from tests.builders import public_data


def write(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(["member_id,title_id", *rows, ""]).encode()))


def test_a_figure_stands_beside_what_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liked = [(m, t) for m in range(20) for t in range(20) if m % 2 == t % 2]
    write(tmp_path / "gowalla" / "train.csv.gz", [f"{m},{t}" for m, t in liked if m != t])
    write(tmp_path / "gowalla" / "test.csv.gz", [f"{m},{m}" for m in range(20)])
    hits = {"recall@1": Published(0.5, 1.0), "ndcg@1": Published(0.5, 1.01)}
    entry = Entry("gowalla", "Small, iALS", "ials", hits, {"factors": 4}, minutes=(30, 10))
    monkeypatch.setattr(quality, "ENTRIES", (entry, Entry("ml-100k", "elsewhere", "ials", hits)))
    said: list[str] = []
    found, missed, trained, *floor = quality.measure(said.append, tmp_path)
    assert (found.what, found.figure, found.met) == ("Small, iALS (ials), recall@1", "1.0000 (1.0000 – 1.0000)", True)
    assert (missed.target, missed.met) == ("≥ 1.0100 (floor 0.5000)", False)
    assert (trained.target, trained.met) == ("≤ 30 min (beyond 10)", True)
    assert [row.what for row in floor] == [f"Gowalla, the published split: popularity, {metric}" for metric in hits]
    assert any(f"ml-100k is left out: there is no folder {tmp_path / 'ml-100k'}" in line for line in said)
    assert quality.measure(said.append, tmp_path, only=["amazon-beauty"]) == []


def test_the_protocols_hold_what_the_data_sets_say() -> None:
    beauty = published.beauty(public_data("amazon-beauty"))
    assert beauty.context is not None
    assert len(beauty.test.member_ids) == 22_363
    assert (np.diff(beauty.test.matrix.indptr) == 1).all()
    assert beauty.train.matrix.nnz + beauty.context.matrix.nnz + beauty.test.matrix.nnz == 198_502
    movies = published.ml_100k(public_data("ml-100k"))
    assert movies.train.matrix.nnz + movies.test.matrix.nnz == 100_000
    share = np.diff(movies.test.matrix.indptr) / np.diff(movies.train.select(np.arange(943)).matrix.indptr + 0)
    assert abs(share.mean() - 1 / 3) < 0.01
