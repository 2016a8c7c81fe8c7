"""Top-k of products of vectors against sorting all of them: ties, exclusion, every arithmetic, and each way a search can fail."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from offline.models import factor_topk, screened_search
from offline.models.factor_topk import FactorRanking
from offline.models.screening import Arithmetic, Screen, arithmetic
from offline.models.topk import TopK
from shared.errors import InputError
from tests.offline.models.sorting import assert_same, sorted_top_k

BYTES_127, BYTES_63, FLOATS = Arithmetic(torch.int8, 127), Arithmetic(torch.int8, 63), Arithmetic(torch.float32, 127)
EVERY = [pytest.param(arithmetic(), id="fastest"), pytest.param(FLOATS, id="floats")]
if arithmetic() == BYTES_127:
    EVERY.append(pytest.param(BYTES_63, id="bytes63"))

Floats = npt.NDArray[np.float32]


def slow_top_k(members: Floats, titles: Floats, k: int, excluded: npt.NDArray[np.bool_]) -> TopK:
    scores = (members.astype(np.float64) @ titles.astype(np.float64).T).astype(np.float32)
    return sorted_top_k(scores, k, excluded)


def exclusion(random: np.random.Generator, members: int, titles: int, share: float) -> npt.NDArray[np.bool_]:
    return random.random((members, titles)) < share


def ranked(ranking: FactorRanking, members: Floats, k: int, excluded: npt.NDArray[np.bool_]) -> TopK:
    return ranking.top_k(members, k, sparse.csr_array(excluded.astype(np.float32)))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    members=st.integers(0, 9),
    titles=st.integers(1, 40),
    factors=st.integers(1, 5),
    k=st.integers(1, 45),
    seen=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_few_titles_equal_sorting(seed: int, members: int, titles: int, factors: int, k: int, seen: float) -> None:
    random = np.random.default_rng(seed)
    left = random.integers(-2, 3, (members, factors)).astype(np.float32)  # few levels: many ties
    right = random.integers(-2, 3, (titles, factors)).astype(np.float32)
    excluded = exclusion(random, members, titles, seen)
    assert_same(ranked(FactorRanking(right), left, k, excluded), slow_top_k(left, right, k, excluded))


def tastes(random: np.random.Generator, members: int, titles: int, factors: int) -> tuple[Floats, Floats]:
    """Vectors as models learn them: norms that differ, and something that all titles have in common."""
    left = random.standard_normal((members, factors)) * random.lognormal(0, 1, (members, 1)) + 0.5
    right = random.standard_normal((titles, factors)) * random.lognormal(0, 0.7, (titles, 1)) + 1.0
    return left.astype(np.float32), right.astype(np.float32)


@pytest.mark.parametrize("with_", EVERY)
@pytest.mark.parametrize("factors", [3, 64])
def test_a_search_equals_sorting(with_: Arithmetic, factors: int) -> None:
    random = np.random.default_rng(factors)
    left, right = tastes(random, 560, 8001, factors)
    excluded = exclusion(random, 560, 8001, 0.01)
    searched = FactorRanking(right, with_=with_)
    assert_same(ranked(searched, left, 20, excluded), slow_top_k(left, right, 20, excluded))
    assert searched._screen is not None


@pytest.mark.parametrize("with_", EVERY)
def test_ties_of_a_search_are_settled_by_index(with_: Arithmetic) -> None:
    random = np.random.default_rng(5)
    left = random.integers(-3, 4, (200, 6)).astype(np.float32)
    right = random.integers(-3, 4, (9000, 6)).astype(np.float32)
    excluded = exclusion(random, 200, 9000, 0.005)
    assert_same(ranked(FactorRanking(right, with_=with_), left, 30, excluded), slow_top_k(left, right, 30, excluded))


def test_a_guess_too_high_only_costs_time(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(6)
    left, right = tastes(random, 150, 6000, 8)
    excluded = exclusion(random, 150, 6000, 0.01)
    monkeypatch.setattr(factor_topk, "ATTEMPTS", ((-8.0, 1), (-8.0, 1)))
    assert_same(ranked(FactorRanking(right), left, 50, excluded), slow_top_k(left, right, 50, excluded))


@pytest.mark.parametrize("distinct", [1, 3])
def test_more_equal_titles_than_there_is_room_for(distinct: int) -> None:
    random = np.random.default_rng(7)
    left = random.standard_normal((100, 5)).astype(np.float32)
    right = random.standard_normal((distinct, 5)).astype(np.float32)[np.arange(6000) % distinct]
    excluded = exclusion(random, 100, 6000, 0.01)
    found, expected = ranked(FactorRanking(right), left, 10, excluded), slow_top_k(left, right, 10, excluded)
    assert_same(found, expected)


@pytest.mark.parametrize("with_", EVERY)
def test_products_of_integers_are_as_near_as_promised(with_: Arithmetic) -> None:
    left, right = tastes(np.random.default_rng(8), 60, 5000, 16)
    screen = Screen(right, with_)
    members = screen.of_members(left)
    values = torch.from_numpy(members.values).to(with_.dtype)
    true = left.astype(np.float64) @ (right.astype(np.float64) - screen.center).T
    seen = np.zeros(len(right), np.int64)
    for tile in [*screen.sample, *screen.rest]:
        room = torch.empty(len(left) * tile.width, dtype=with_.product_type)
        product = screen.product(values, tile, room).numpy()
        titles = screen.title_of[tile.start : tile.stop]
        seen[titles[: tile.filled]] += 1
        assert (titles[tile.filled :] == -1).all()
        assert (product[:, tile.filled :] < with_.limits[0]).all()
        near = product[:, : tile.filled] * members.scale[:, None] * tile.scale
        slack = members.error * tile.length + members.length * tile.error
        assert (np.abs(near - true[:, titles[: tile.filled]]) <= slack[:, None] * (1 + 1e-12)).all()
        assert (np.linalg.norm(right[titles[: tile.filled]].astype(np.float64) - screen.center, axis=1) <= tile.length).all()
    assert (seen == 1).all()


def test_titles_of_small_norm_are_looked_at_where_they_are_the_best() -> None:
    # Most titles are longer and at right angles to every member; the norm of the others, all 1, only just suffices.
    random = np.random.default_rng(16)
    cosine, signs = 1 - 0.2 * random.random(8000), random.choice([-1, 1], (8000, 2))
    short = np.zeros((8000, 8), np.float32)
    short[:, [0, 2]] = np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1) * signs
    long = np.zeros((16000, 8), np.float32)
    long[:, 1] = (1.2 + 0.1 * random.random(16000)) * np.where(np.arange(16000) % 2, 1, -1)
    right = np.concatenate([short, long])[random.permutation(24000)]
    left = np.zeros((100, 8), np.float32)
    left[:, 0] = 1 + random.random(100)
    nothing = np.zeros((100, len(right)), np.bool_)
    assert_same(ranked(FactorRanking(right), left, 30, nothing), slow_top_k(left, right, 30, nothing))


def test_a_member_ranks_the_same_alone_and_among_others() -> None:
    random = np.random.default_rng(9)
    left, right = tastes(random, 130, 5000, 24)
    ranking = FactorRanking(right)
    together = ranking.top_k(left, 15)
    for member in (0, 77, 129):
        alone = FactorRanking(right).top_k(left[[member]], 15)
        np.testing.assert_array_equal(alone.titles[0], together.titles[member])
        np.testing.assert_array_equal(alone.scores[0], together.scores[member])


def test_members_without_a_vector_rank_by_the_fallback() -> None:
    random = np.random.default_rng(10)
    left, right = tastes(random, 100, 5000, 4)
    left[::3] = 0.0
    fallback = random.random(5000).astype(np.float32)
    excluded = exclusion(random, 100, 5000, 0.02)
    found, expected = ranked(FactorRanking(right, fallback), left, 7, excluded), slow_top_k(left, right, 7, excluded)
    by_fallback = slow_top_k(np.ones((100, 1), np.float32), fallback[:, None], 7, excluded)
    expected.titles[::3], expected.scores[::3] = by_fallback.titles[::3], by_fallback.scores[::3]
    assert_same(found, expected)


def test_one_member_may_have_seen_far_more_than_the_others() -> None:
    random = np.random.default_rng(11)
    left, right = tastes(random, 200, 5000, 8)
    excluded = exclusion(random, 200, 5000, 0.002)
    excluded[3], excluded[4], excluded[5, :4990] = True, False, True
    assert_same(ranked(FactorRanking(right), left, 25, excluded), slow_top_k(left, right, 25, excluded))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e15])
def test_vectors_of_any_scale(scale: float) -> None:
    random = np.random.default_rng(12)
    left, right = tastes(random, 80, 5000, 8)
    left *= np.float32(scale)
    right[::7] = 0.0
    right[3] *= 1e4
    excluded = exclusion(random, 80, 5000, 0.01)
    assert_same(ranked(FactorRanking(right), left, 25, excluded), slow_top_k(left, right, 25, excluded))


def test_threads_change_nothing() -> None:
    left, right = tastes(np.random.default_rng(13), 1500, 5000, 8)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = FactorRanking(right).top_k(left, 10)
        torch.set_num_threads(2)
        two = FactorRanking(right).top_k(left, 10)
    finally:
        torch.set_num_threads(threads)
    assert_same(two, one)


def test_bad_factors_are_refused() -> None:
    left, right = tastes(np.random.default_rng(14), 3, 9, 4)
    ranking = FactorRanking(right)
    wrong = left.copy()
    wrong[1, 2] = np.nan
    with pytest.raises(InputError, match="the factors of member 1 are not finite"):
        ranking.top_k(wrong, 2)
    with pytest.raises(InputError, match="the factors of title 4 are not finite"):
        FactorRanking(np.where(np.arange(9)[:, None] == 4, np.inf, right).astype(np.float32))
    with pytest.raises(InputError, match="do not fit float32"):
        ranking.top_k(np.full((1, 4), 3e38, np.float32), 2)
    with pytest.raises(InputError, match="have 3 factors each and the titles 4"):
        ranking.top_k(left[:, :3], 2)
    with pytest.raises(InputError, match="k is 0"):
        ranking.top_k(left, 0)
    with pytest.raises(InputError, match="exclude is"):
        ranking.top_k(left, 2, sparse.csr_array((2, 9), dtype=np.float32))
    with pytest.raises(InputError, match="fallback is"):
        FactorRanking(right, np.zeros(3, np.float32))


def test_no_members() -> None:
    found = FactorRanking(np.ones((5, 2), np.float32)).top_k(np.zeros((0, 2), np.float32), 3)
    assert found.titles.shape == found.scores.shape == (0, 3)


def test_a_screen_is_made_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = tastes(np.random.default_rng(15), factor_topk.LEAST_MEMBERS, factor_topk.LEAST_TITLES, 4)
    ranking = FactorRanking(right)
    ranking.top_k(left[:1], 5)
    assert ranking._screen is None
    ranking.top_k(left[1:], 5)
    assert ranking._screen is not None
    monkeypatch.setattr(screened_search, "SPARE_ROOM", len(right))
    ranking.top_k(left, 5)  # there is more room than titles: all are ranked
