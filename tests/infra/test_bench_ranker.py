"""The ranker's bench on a small world: the truth orders best, and what is printed says how near the ranker comes."""

import numpy as np
import pytest

from infra.bench import ranker
from infra.demo.world import World
from offline.models.ranker import RankerSettings

pytestmark = pytest.mark.slow


def test_the_figures_are_ordered_as_the_truth_has_it() -> None:
    world = World.generate(members=300, titles=120, plays=4000, days=16)
    report = ranker.measure(world, 1000, RankerSettings(epochs=6, batch=256))
    figures = {one.name: one for one in report.figures}
    truth, found = figures["the truth"], figures["ranker, position fixed"]
    assert (round(truth.true_ndcg, 6), round(truth.rank_correlation, 6)) == (1.0, 1.0)
    assert truth.unbiased_gain > found.unbiased_gain > 0
    assert figures["popularity in the country"].true_ndcg < found.true_ndcg < 1
    assert np.corrcoef(report.learned.ravel(), report.true.ravel())[0, 1] > 0.7
    text = ranker.table(report)
    assert f"{report.pages:,} held-out pages" in text and f"{found.unbiased_gain:.4f}" in text
