"""How far a page moves from the member's last one is a setting."""

from itertools import combinations

import numpy as np
import pytest

from shared.pages.policies import POLICIES
from tests.shared.pages.policies.drawn import draft, keys, random_page, view

scored = pytest.mark.parametrize("name", ["alone", "stagewise", "search"])


def distance(last: list[str], page: list[str]) -> float:
    """Share of the pairs of rows of the last page of which the lower one now stands above the other, or alone."""
    at = {key: place for place, key in enumerate(page)}
    pairs = list(combinations(last, 2))
    return sum(at.get(one, len(page)) > at.get(other, len(page)) for one, other in pairs) / len(pairs)


def moved(name: str, stability: float, seed: int) -> float:
    drafts, _ = random_page(seed)
    last = np.random.default_rng(seed).permutation([row.key for row in drafts]).tolist()[:8]
    drafts, seen = random_page(seed, settings={"stability": stability, "evaluations": 20}, previous=tuple(last))
    return distance(last, keys(POLICIES[name].place(drafts, seen)))


@scored
def test_a_page_moves_less_the_more_stability_counts(name: str) -> None:
    means = [np.mean([moved(name, stability, seed) for seed in range(10)]) for stability in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert means[0] > 0.2
    assert all(np.diff(means) <= 0.01)
    assert means[-1] == 0.0


@scored
def test_full_stability_keeps_the_last_page_and_puts_new_rows_below(name: str) -> None:
    drafts = [draft("best", 0), draft("good", 1), draft("fair", 2), draft("poor", 3)]
    seen = view([1.0, 0.7, 0.5, 0.1], settings={"stability": 1.0}, previous=("poor", "gone", "fair", "good"))
    assert keys(POLICIES[name].place(drafts, seen)) == ["poor", "fair", "good", "best"]


def test_a_row_moves_when_the_gain_outweighs_the_unrest() -> None:
    drafts = [draft("first", 0), draft("second", 1)]
    for score, order in ((0.95, ["first", "second"]), (0.5, ["second", "first"])):
        seen = view([score, 1.0], settings={"stability": 0.2, "diversity": 0.0}, previous=("first", "second"))
        assert keys(POLICIES["stagewise"].place(drafts, seen)) == order
