"""The ALS bench on a small scale: the generated data, the shared objective, and a whole run."""

import numpy as np
import pytest
from scipy import sparse

from infra.bench.models import als_speed
from infra.bench.models.power_law import generate


def test_generated_plays_are_as_many_as_asked_and_follow_power_laws() -> None:
    plays = generate(3000, 800, 90_000, held_out=4)
    assert plays.train.nnz == 90_000
    assert plays.held_out.nnz == 3000 * 4
    assert plays.train.multiply(plays.held_out).nnz == 0
    assert (plays.train.data == 1).all()
    for axis in (0, 1):
        counts = np.sort(np.bincount(plays.train.nonzero()[axis]))[::-1]
        assert counts[: len(counts) // 10].sum() > 0.2 * 90_000  # a tenth has twice its share
    again = generate(3000, 800, 90_000, held_out=4)
    assert (plays.train != again.train).nnz == 0


def test_generated_tastes_can_be_learnt() -> None:
    plays = generate(3000, 800, 90_000)
    members, values, titles = sparse.linalg.svds(plays.train.astype(np.float64), 30)
    popular = np.asarray(plays.train.sum(axis=0), np.float32)[None, :]
    train, held_out = sparse.csr_matrix(plays.train), sparse.csr_matrix(plays.held_out)
    personal, _ = als_speed.recall_of(train, held_out, (members * values).astype(np.float32), titles.T.astype(np.float32))
    same, _ = als_speed.recall_of(train, held_out, np.ones((3000, 1), np.float32), popular.T)
    assert personal > 1.2 * same


def test_more_entries_than_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        generate(10, 20, 500)


def test_loss_is_that_of_its_definition() -> None:
    random = np.random.default_rng(2)
    train = sparse.csr_matrix((random.random((30, 20)) < 0.2).astype(np.float32))
    members, titles = (random.standard_normal((n, 4)).astype(np.float32) for n in (30, 20))
    score, observed = members.astype(np.float64) @ titles.T, train.toarray() > 0
    expected = np.where(observed, als_speed.CONFIDENCE * (1 - score) ** 2, score**2).sum()
    expected += als_speed.REGULARISATION * ((members.astype(np.float64) ** 2).sum() + (titles.astype(np.float64) ** 2).sum())
    assert als_speed.loss_of(train, members, titles) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_a_run_compares_at_the_same_loss_and_recall() -> None:
    pytest.importorskip("implicit", reason="the rival is in the bench extra")
    said: list[str] = []
    rows = als_speed.measure(said.append, members=800, titles=300, entries=20_000, factors=8, rivals=["implicit-cg"])
    assert [row.what.partition(": ")[2].partition(",")[0] for row in rows] == [
        "Marquee to the goal",
        "implicit-cg",
        "faster than implicit-cg",
    ]
    goal = next(line for line in said if line.startswith("implicit-cg: 15 passes"))
    reached = [line for line in said if line.startswith("marquee: ")]
    loss = [float(line.partition("loss ")[2].partition(", recall")[0].replace(",", "")) for line in (goal, reached[-1])]
    assert loss[1] <= loss[0]
    assert all(row.values["median"] > 0 for row in rows)
