"""Exploration: what is logged as a chance is how often it happens, and recovers what another policy would have earned."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from scipy import stats

from shared.config import ExplorationSettings as Explore
from shared.pages.exploration import Options, explore, explores, propensities, random_numbers
from shared.pages.posteriors import Posteriors

SCORES = np.array([0.9, 0.8, 0.8, 0.5, 0.4, 0.1], dtype=np.float32)
ARMS = Posteriors.beta([3.0, 1.0, 2.0, 6.0], [20.0, 9.0, 30.0, 40.0])
WITH_ARMS = Options(SCORES, posteriors=ARMS, arms=np.array([-1, 0, -1, 1, 2, 3], dtype=np.int32))
COLD = Options(SCORES, is_explorable=np.array([False, True, False, False, True, True]))
DRAWS = 3000
# Not to be changed with the code: replayed pages would differ.
RANDOM_NUMBERS = [0.5684865919934791, 0.3789422831432455, 0.7919690320842242]

CASES = [
    (Explore(kind="epsilon", epsilon=0.4, first_slot=1), Options(SCORES)),
    (Explore(kind="epsilon", epsilon=0.6, first_slot=1, slots=2, pool=3), Options(SCORES)),
    (Explore(kind="epsilon", epsilon=0.5, first_slot=0, slots=2), COLD),
    (Explore(kind="softmax", temperature=1.0, first_slot=0, slots=2), Options(SCORES)),
    (Explore(kind="softmax", temperature=2.0, first_slot=1, slots=3, pool=4), Options(SCORES)),
    (Explore(kind="softmax", temperature=0.7, first_slot=2, slots=9), Options(SCORES)),
    (Explore(kind="softmax", temperature=1.5, first_slot=1, slots=1), COLD),
    (Explore(kind="thompson", first_slot=1), WITH_ARMS),
    (Explore(kind="thompson", first_slot=1, slots=2), WITH_ARMS),
]


def slates(settings: Explore, options: Options, cells: int) -> dict[tuple[int, ...], float]:
    """Every row that can be shown, and its chance as the product of its cells' chances."""
    found = {(): 1.0}
    for _ in range(cells):
        longer = {}
        for shown, chance in found.items():
            for place, next_chance in enumerate(propensities(settings, options, shown)):
                if next_chance > 0:
                    longer[*shown, place] = chance * next_chance
        found = longer
    return found


def rows(settings: Explore, options: Options, draws: int, cells: int) -> Iterator[tuple[tuple[int, ...], list[float]]]:
    random = np.random.default_rng(11)
    for _ in range(draws):
        explored = explore(settings, options, cells, random)
        yield tuple(explored.places.tolist()), explored.propensities.tolist()


@pytest.mark.parametrize(("settings", "options"), CASES)
def test_logged_chances_are_frequencies(settings: Explore, options: Options) -> None:
    expected = slates(settings, options, cells=5)
    assert abs(sum(expected.values()) - 1) < 1e-9
    counts: Counter[tuple[int, ...]] = Counter()
    for shown, logged in rows(settings, options, DRAWS, cells=5):
        assert len(set(shown)) == 5 and min(logged) > 0
        assert math.isclose(math.prod(logged), expected[shown], rel_tol=1e-5)
        counts[shown] += 1
    for shown, chance in expected.items():
        assert abs(counts[shown] - DRAWS * chance) < 4.5 * np.sqrt(DRAWS * chance * (1 - chance)) + 1
    common = [shown for shown, chance in expected.items() if DRAWS * chance >= 5]
    observed = np.array([counts[shown] for shown in common] + [DRAWS - sum(counts[shown] for shown in common)], dtype=float)
    chances = np.array([expected[shown] for shown in common])
    wanted = DRAWS * np.append(chances, max(1 - chances.sum(), 0.0))
    kept = wanted > 1e-6
    assert stats.chi2.sf((((observed - wanted) ** 2)[kept] / wanted[kept]).sum(), kept.sum() - 1) > 1e-4


@pytest.mark.parametrize(("settings", "options"), CASES)
def test_each_cell_logs_its_chance_given_the_cells_before(settings: Explore, options: Options) -> None:
    for shown, logged in rows(settings, options, 30, cells=6):
        for cell, place in enumerate(shown):
            chances = propensities(settings, options, shown[:cell])
            assert abs(chances.sum() - 1) < 1e-9 and (chances >= 0).all()
            assert math.isclose(logged[cell], chances[place], rel_tol=1e-5)


def test_softmax_is_the_model_of_plackett_and_luce() -> None:
    settings = Explore(kind="softmax", temperature=0.8, first_slot=0, slots=4, pool=4)
    weights = np.exp(SCORES[:4].astype(float) / (0.8 * SCORES[:4].astype(float).std()))
    found = slates(settings, Options(SCORES), cells=4)
    for order in permutations(range(4)):
        drawn = weights[list(order)]
        expected = np.prod(drawn / np.cumsum(drawn[::-1])[::-1])
        np.testing.assert_allclose(found[order], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (Explore(kind="epsilon", epsilon=0.4, first_slot=1, slots=2), Options(SCORES)),
        (Explore(kind="softmax", temperature=1.5, first_slot=1, slots=2), Options(SCORES)),
        (Explore(kind="thompson", first_slot=1, slots=2), Options(SCORES, None, ARMS, np.array([0, 1, 2, 3, -1, -1]))),
    ],
)  # fmt: skip
def test_inverse_propensities_recover_what_another_policy_earns(settings: Explore, options: Options) -> None:
    worth = np.array([0.3, 1.0, 0.9, 0.3, 0.1, 0.0])
    other = Explore(kind="softmax", temperature=0.6, first_slot=1, slots=2, pool=4)
    if settings.kind == "thompson":  # what another policy shows must be possible under the one that logged
        other = Explore(kind="epsilon", epsilon=1.0, first_slot=1, slots=2, pool=4)
    targets = slates(other, options, 3)
    truth = sum(chance * worth[list(shown)].sum() for shown, chance in targets.items())
    earned, weighted = [], []
    for shown, logged in rows(settings, options, DRAWS, cells=3):
        earned.append(worth[list(shown)].sum())
        weighted.append(earned[-1] * targets.get(shown, 0.0) / math.prod(logged))
    assert abs(np.mean(weighted) - truth) < 4 * np.std(weighted) / np.sqrt(DRAWS)
    assert abs(np.mean(earned) - truth) > 6 * np.std(earned) / np.sqrt(DRAWS)  # without weights it is another policy's


@pytest.mark.parametrize(
    "settings",
    [
        Explore(kind="none"),
        Explore(kind="epsilon", epsilon=0.0, first_slot=0, slots=3),
        Explore(kind="softmax", temperature=0.0, first_slot=0, slots=3),
        Explore(kind="softmax", temperature=1e-9, first_slot=0, slots=3),
        Explore(kind="epsilon", epsilon=1.0, first_slot=6),
        Explore(kind="thompson", first_slot=0, slots=3),
    ],
)
def test_without_exploration_the_best_titles_are_shown_for_sure(settings: Explore) -> None:
    options = Options(np.array([0.9, 0.8, 0.7, 0.5, 0.4], dtype=np.float32))
    for shown, logged in rows(settings, options, 20, cells=4):
        assert shown == (0, 1, 2, 3) and logged == [1.0] * 4
    assert propensities(settings, options, (0,)).tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("kind", ["none", "epsilon", "softmax", "thompson"])
def test_no_title_one_title_and_none_to_explore(kind: str) -> None:
    settings = Explore(kind=kind, epsilon=1.0, first_slot=0, slots=3)  # type: ignore[arg-type]
    random = np.random.default_rng(1)
    for count in (0, 1):
        arms = np.arange(count, dtype=np.int32)
        explored = explore(settings, Options(np.ones(count, dtype=np.float32), posteriors=ARMS, arms=arms), 5, random)
        assert explored.places.tolist() == [0] * count and explored.propensities.tolist() == [1.0] * count
        assert explored.places.dtype == np.int32 and explored.propensities.dtype == np.float32
    nothing = Options(SCORES, np.zeros(6, dtype=np.bool_), ARMS, np.arange(6, dtype=np.int32) % 4)
    assert explore(settings, nothing, 4, random).propensities.tolist() == [1.0] * 4
    assert propensities(settings, Options(SCORES[:0])).shape == (0,)
    assert propensities(settings, Options(SCORES), range(6)).tolist() == [0] * 6


def test_titles_of_one_score_are_drawn_alike() -> None:
    settings = Explore(kind="softmax", temperature=0.1, first_slot=0, pool=5)
    np.testing.assert_allclose(propensities(settings, Options(np.ones(6, dtype=np.float32))), [0.2] * 5 + [0])


@tries(max_examples=100, deadline=None)
@given(
    st.sampled_from(["none", "epsilon", "softmax", "thompson"]),
    st.integers(0, 12),
    st.integers(0, 12),
    st.integers(0, 5),
    st.integers(1, 6),
    st.integers(1, 8),
    st.floats(0, 1),
    st.floats(0, 3),
    st.integers(0, 2**32),
)
def test_a_row_has_each_title_once_and_every_chance_is_that_of_its_place(
    kind: str, titles: int, cells: int, first: int, slots: int, pool: int, epsilon: float, temperature: float, seed: int
) -> None:
    settings = Explore(
        kind=kind, epsilon=epsilon, temperature=temperature, first_slot=first, slots=slots, pool=pool  # type: ignore[arg-type]
    )  # fmt: skip
    random = np.random.default_rng(seed)
    scores = -np.sort(-random.integers(0, 5, titles) / 4).astype(np.float32)
    arms = np.where(random.random(titles) < 0.5, random.permutation(12)[:titles], -1).astype(np.int32)
    may = random.random(titles) < 0.7 if seed % 2 else None
    options = Options(scores, may, Posteriors.beta(np.arange(1.0, 13.0), np.full(12, 9.0)), arms)
    explored = explore(settings, options, cells, random)
    shown = explored.places.tolist()
    assert len(shown) == len(explored.propensities) == min(cells, titles) == len(set(shown))
    for cell, place in enumerate(shown):
        chances = propensities(settings, options, shown[:cell])
        assert abs(chances.sum() - 1) < 1e-9
        assert math.isclose(explored.propensities[cell], chances[place], rel_tol=1e-4, abs_tol=1e-30)


def test_a_page_has_its_own_random_numbers_forever() -> None:
    assert random_numbers("page").random(3).tolist() == RANDOM_NUMBERS
    assert random_numbers("page").random() != random_numbers("page 2").random()


def test_rows_are_named_by_key_or_kind() -> None:
    settings = Explore(rows=("top-picks", "genre", "because:t7"))
    explored = [
        key for key in ("top-picks", "genre:Drama", "genre", "because:t7", "because:t8", "top") if explores(settings, key)
    ]
    assert explored == ["top-picks", "genre:Drama", "genre", "because:t7"]
    assert not explores(Explore(kind="none", rows=("top-picks",)), "top-picks")
