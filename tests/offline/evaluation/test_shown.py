"""What lists show, against plain Python written from the definitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline.evaluation.shown import Plays, diversity, novelty, popularity, popularity_lift, unit_rows
from tests.builders import interactions_of, random_interactions


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / math.sqrt((one @ one) * (other @ other)))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), k=st.integers(1, 8))
def test_values_equal_their_definitions(seed: int, k: int) -> None:
    world = random_interactions(members=25, titles=12, seed=seed)
    played = world.matrix.toarray() > 0
    random = np.random.default_rng(seed)
    lists = np.array([random.permutation(12)[:k] for _ in range(25)], np.int32)
    lists[0, k // 2 :] = -1
    plays = Plays(world)
    counts = played.sum(axis=0)
    found = {
        "novelty": novelty(lists, plays),
        "popularity": popularity(lists, plays),
        "lift": popularity_lift(lists, plays, world.matrix),
        "diversity": diversity(lists, plays.audience),
    }
    for member in range(25):
        shown = [int(title) for title in lists[member] if title >= 0]
        if not shown:
            assert all(np.isnan(values[member]) for values in found.values())
            continue
        below = [(np.sum(counts < counts[t]) + np.sum(counts == counts[t]) / 2) / 12 for t in shown]
        usual = counts[played[member]].mean()
        assert found["novelty"][member] == pytest.approx(np.mean([-math.log2(counts[t] / 25) for t in shown]))
        assert found["popularity"][member] == pytest.approx(np.mean(below))
        assert found["lift"][member] == pytest.approx(counts[shown].mean() / usual - 1)
        pairs = [1 - cosine(played[:, a].astype(float), played[:, b].astype(float)) for a, b in itertools.combinations(shown, 2)]
        if pairs:
            assert found["diversity"][member] == pytest.approx(np.mean(pairs), abs=1e-5)
        else:
            assert np.isnan(found["diversity"][member])


def test_diversity_is_the_same_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = random_interactions()
    lists = np.array([np.random.default_rng(i).permutation(30)[:6] for i in range(60)], np.int32)
    whole = diversity(lists, Plays(world).audience)
    monkeypatch.setattr("offline.evaluation.shown.CELLS", 150)
    np.testing.assert_array_equal(diversity(lists, Plays(world).audience), whole)


def test_likeness_is_judged_between_titles_that_are_described() -> None:
    vectors = unit_rows(interactions_of(np.array([[1, 1], [1, 1], [0, 0], [0, 3]])).matrix)
    found = diversity(np.array([[0, 1, 2], [0, 3, -1], [0, 2, -1]], np.int32), vectors)
    np.testing.assert_allclose(found, [0.0, 1 - 1 / math.sqrt(2), np.nan], atol=1e-6)


def test_a_member_without_history_has_no_popularity_lift() -> None:
    world = interactions_of(np.array([[1, 1, 0], [0, 1, 1]]))
    nobody = interactions_of(np.zeros((2, 3)))
    assert np.isnan(popularity_lift(np.array([[0], [1]], np.int32), Plays(world), nobody.matrix)).all()
