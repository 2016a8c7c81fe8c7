"""Blockwise top-k against sorting everything, with ties, exclusion and every block border."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from offline.models import topk
from offline.models.topk import top_k
from tests.offline.models.sorting import assert_same, sorted_top_k


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    members=st.integers(1, 9),
    titles=st.integers(1, 40),
    k=st.integers(1, 12),
    levels=st.integers(1, 30),
    tile=st.integers(1, 45),
)
def test_equals_sorting(seed: int, members: int, titles: int, k: int, levels: int, tile: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(-levels, levels, (members, titles)).astype(np.float32)  # few levels: many ties
    excluded = random.random((members, titles)) < 0.3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "TITLE_TILE", tile)
        patch.setattr(topk, "TILE_SCORES", 3 * tile)
        found = top_k(lambda r, c: torch.from_numpy(scores[r, c].copy()), members, titles, k, sparse.csr_array(excluded * 1.0))
    assert_same(found, sorted_top_k(scores, k, excluded))
