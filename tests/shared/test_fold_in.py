"""Folding in without torch: the offline model's own vectors and rankings, whatever the history."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from offline.models import IALS, IALSSettings
from shared.errors import SnapshotError
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY, FoldIn, History, Terms
from tests.builders import random_interactions

TITLES = 60


def fitted(factors: int, exponent: float = 1.0) -> IALS:
    chosen = IALSSettings(factors=factors, iterations=3, regularisation_exponent=exponent)
    return IALS(chosen).fit(random_interactions(members=80, titles=TITLES))


def fold_in_of(model: IALS) -> FoldIn:
    return FoldIn(model.title_factors, model.terms)


def random_histories(random: np.random.Generator, lengths: list[int]) -> list[History]:
    return [
        History(
            random.choice(TITLES, length, replace=False).astype(np.int32), (2 * random.random(length) + 0.01).astype(np.float32)
        )
        for length in lengths
    ]


def as_rows(histories: list[History]) -> "sparse.csr_array[np.float32]":
    rows = sparse.lil_array((len(histories), TITLES), dtype=np.float32)
    for row, (titles, weights) in enumerate(histories):
        rows[row, titles] = weights
    return rows.tocsr()


@pytest.mark.parametrize(("factors", "exponent"), [(16, 1.0), (16, 0.5), (5, 0.0), (1, 1.0)])
def test_vectors_equal_the_models_own(factors: int, exponent: float) -> None:
    model = fitted(factors, exponent)
    histories = random_histories(np.random.default_rng(3), [0, 1, 2, factors - 1, factors, factors + 1, 40, TITLES])
    expected = model.fold_in(as_rows(histories))
    vectors = fold_in_of(model).vectors(histories)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert not vectors[0].any()


def test_a_batch_equals_single_calls() -> None:
    fold_in = fold_in_of(fitted(8))
    histories = random_histories(np.random.default_rng(5), [3, 0, 20, 50])
    together = fold_in.vectors(histories)
    for row, history in enumerate(histories):
        assert np.allclose(together[row], fold_in.vectors([history])[0], atol=1e-6)


def test_rankings_equal_the_models_own_but_for_who_has_no_vector() -> None:
    model = fitted(16)
    histories = random_histories(np.random.default_rng(4), [1, 10, 30])
    exclude = [history.titles for history in histories]
    expected = model._rank(model.fold_in(as_rows(histories)), 20, as_rows(histories))
    fold_in = fold_in_of(model)
    for row, ranked in enumerate(fold_in.top_k(fold_in.vectors(histories), 20, exclude)):
        assert ranked.titles.tolist() == expected.titles[row].tolist()
        assert np.allclose(ranked.scores, expected.scores[row], atol=1e-4)
    (nothing,) = fold_in.top_k(np.zeros((1, 16), np.float32), 20, [np.zeros(0, np.int32)])
    assert not len(nothing.titles)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-2, 2), min_size=1, max_size=30), st.integers(1, 35), st.sets(st.integers(0, 29)))
def test_top_k_equals_a_stable_sort_ties_included(scores: list[int], k: int, shut: set[int]) -> None:
    fold_in = FoldIn(np.array(scores, np.float32)[:, None], Terms(0.1, 0.1, 1.0, 1.0, len(scores)))
    excluded = np.array([title for title in shut if title < len(scores)], np.int32)
    (ranked,) = fold_in.top_k(np.ones((1, 1), np.float32), k, [excluded])
    expected = [title for title in np.argsort(-np.array(scores), kind="stable") if title not in shut][:k]
    assert ranked.titles.tolist() == expected
    assert ranked.scores.tolist() == [scores[title] for title in expected]


def test_more_members_than_scores_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fold_in = fold_in_of(fitted(4))
    vectors = fold_in.vectors(random_histories(np.random.default_rng(1), [5] * 7))
    shut = [np.array([row], np.int32) for row in range(7)]
    whole = fold_in.top_k(vectors, 6, shut)
    monkeypatch.setattr("shared.fold_in.SCORES_AT_ONCE", 2 * TITLES + 1)
    parts = fold_in.top_k(vectors, 6, shut)
    assert [ranked.titles.tolist() for ranked in parts] == [ranked.titles.tolist() for ranked in whole]
    assert all(row not in ranked.titles for row, ranked in enumerate(parts))


def test_an_empty_catalogue_has_no_best_titles() -> None:
    fold_in = FoldIn(np.zeros((0, 4), np.float32), Terms(0.1, 0.1, 1.0, 1.0, 0))
    (ranked,) = fold_in.top_k(np.ones((1, 4), np.float32), 5, [np.zeros(0, np.int32)])
    assert not len(ranked.titles)


def test_a_snapshot_without_factors_folds_nothing_in() -> None:
    assert FoldIn.of({"popular": np.zeros(3, np.int32)}, 3) is None


@pytest.mark.parametrize(
    ("factors", "terms", "says"),
    [
        (None, np.ones(5), "lacks the other"),
        (np.zeros((3, 2), np.float32), None, "lacks the other"),
        (np.zeros((4, 2), np.float32), np.ones(5), "one row for each of 3"),
        (np.zeros((3, 2)), np.ones(5), "float64"),
        (np.full((3, 2), np.nan, np.float32), np.ones(5), "no numbers"),
        (np.zeros((3, 2), np.float32), np.ones(4), "fold_in_terms is"),
        (np.zeros((3, 2), np.float32), np.array([1, 1, 1, 0, 1.0]), "fold_in_terms is"),
        (np.zeros((3, 2), np.float32), np.array([1, -1, 1, 1, 1.0]), "fold_in_terms is"),
    ],
)
def test_factors_that_could_break_a_retrieval_are_refused(
    factors: np.ndarray | None, terms: np.ndarray | None, says: str
) -> None:
    arrays = {name: array for name, array in ((FACTORS_ARRAY, factors), (TERMS_ARRAY, terms)) if array is not None}
    with pytest.raises(SnapshotError, match=says):
        FoldIn.of(arrays, 3)
