"""The bench of best-k ranking, at a small size: every rival in process ranks, and each rate becomes a row."""

import numpy as np
import pytest

from infra.bench.models import topk_speed
from infra.bench.models.power_law import generate


def test_every_contender_in_process_gets_its_rows() -> None:
    said: list[str] = []
    rows = topk_speed.measure(said.append, members=96, titles=500, factors=(8,), k=5, rounds=2, rivals=("faiss", "implicit"))
    for kind in ("8 normal factors", "8 iALS factors"):
        of_kind = {row.what: row for row in rows if kind in row.what}
        assert set(of_kind) == {
            f"top-5, {kind}, share of the product's rate",
            f"top-5, {kind}",
            f"the product alone, {kind}",
            f"top-5, {kind}, against FAISS IndexFlatIP",
            f"FAISS IndexFlatIP, {kind}",
            f"top-5, {kind}, against implicit.cpu.topk",
            f"implicit.cpu.topk, {kind}",
        }
        assert all(rate > 0 for row in of_kind.values() for rate in row.values["rounds"])
    assert sum("round 2" in line for line in said) == 2


def test_a_rival_that_ranks_otherwise_is_told() -> None:
    problem = topk_speed.drawn(generate(20, 100, 100, held_out=1).train, 4)
    topk_speed.check_against_implicit(problem, 3)
    with pytest.raises(RuntimeError, match="implicit's best scores"):
        topk_speed.require_alike(problem.what, problem.members, problem.members + np.float32(0.1))
