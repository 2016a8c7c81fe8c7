"""The vectorised metrics against plain Python written from their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from offline.evaluation.ranking import MEMBER_METRICS, find_hits
from offline.models.topk import top_k


def slow_metrics(listed: list[int], wanted: set[int], total: int, k: int) -> dict[str, float]:
    """All metrics of one member; `total` counts test titles that are not in the catalogue, too."""
    listed = listed[:k]
    hits = [rank for rank, title in enumerate(listed, start=1) if title in wanted]
    ideal = sum(1 / math.log2(1 + rank) for rank in range(1, min(k, total) + 1))
    return {
        "recall": len(hits) / total,
        "precision": len(hits) / k,
        "hr": 1.0 if hits else 0.0,
        "mrr": 1 / hits[0] if hits else 0.0,
        "ndcg": sum(1 / math.log2(1 + rank) for rank in hits) / ideal,
        "map": sum((number + 1) / rank for number, rank in enumerate(hits)) / min(k, total),
    }


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), titles=st.integers(2, 30), k=st.integers(1, 35), levels=st.integers(1, 10))
def test_metrics_equal_their_definitions(seed: int, titles: int, k: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    members = 7
    scores = random.integers(0, levels, (members, titles)).astype(np.float32)  # few levels: many ties
    test = random.random((members, titles)) < 0.25
    excluded = (random.random((members, titles)) < 0.3) & ~test
    test[:, 0] |= ~test.any(axis=1)
    beyond = random.integers(0, 3, members)  # test titles outside the catalogue
    ranked = top_k(
        lambda r, c: torch.from_numpy(scores[r, c].copy()), members, titles, k, sparse.csr_array(excluded * 1.0)
    ).titles
    hits = find_hits(ranked, sparse.csr_array(test * 1.0))
    relevant = test.sum(axis=1) + beyond
    for member in range(members):
        allowed = [title for title in range(titles) if not excluded[member, title]]
        listed = sorted(allowed, key=lambda title: (-scores[member, title], title))
        expected = slow_metrics(listed, set(np.flatnonzero(test[member])), int(relevant[member]), k)
        for name, metric in MEMBER_METRICS.items():
            assert metric(hits, relevant, k)[member] == pytest.approx(expected[name], abs=1e-6), name


def test_cut_below_the_depth_of_the_lists() -> None:
    hits = np.array([[False, True, False, True]])
    for name, expected in slow_metrics([9, 1, 9, 2], {1, 2}, 3, 2).items():
        assert MEMBER_METRICS[name](hits, np.array([3]), 2)[0] == pytest.approx(expected), name


def test_padding_is_never_a_hit() -> None:
    test = sparse.csr_array(np.array([[0.0, 1.0], [1.0, 1.0]]))
    ranked = np.array([[1, -1], [-1, -1]], np.int32)
    assert find_hits(ranked, test).tolist() == [[True, False], [False, False]]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 8))
def test_more_ranks_and_earlier_hits_never_hurt(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    hits = random.random((20, 9)) < 0.3
    relevant = hits.sum(axis=1) + random.integers(1, 4, 20)
    for name in ("recall", "hr", "mrr"):
        assert (MEMBER_METRICS[name](hits, relevant, k + 1) >= MEMBER_METRICS[name](hits, relevant, k)).all(), name
    earlier = hits.copy()
    earlier[:, k - 1 : k + 1] = -np.sort(-hits[:, k - 1 : k + 1].astype(int), axis=1) > 0  # a hit just below moves up
    for name, metric in MEMBER_METRICS.items():
        assert (metric(earlier, relevant, k) >= metric(hits, relevant, k) - 1e-12).all(), name
        assert (metric(hits, relevant, k) <= 1).all(), name
