from math import log2, sqrt

import numpy as np
import pytest

from offline.evaluation.pages.relevance import ShownPage
from offline.evaluation.pages.variety import churn, genre_vectors, self_information, variety
from tests.offline.evaluation.pages.test_relevance import page

GENRES = np.array([[True, True, True, False, False], [False, False, True, True, False]])
"""Titles 0 and 1 are of the first genre, 2 of both, 3 of the second, 4 of none."""


def look(now: ShownPage, before: ShownPage | None = None) -> tuple[float, ...]:
    return variety(now, before, genre_vectors(GENRES), self_information(np.array([8, 4, 2, 1, 0]), 8))


def test_genre_vectors_have_length_one() -> None:
    assert genre_vectors(GENRES) == pytest.approx(np.array([[1, 0], [1, 0], [sqrt(0.5), sqrt(0.5)], [0, 1], [0, 0]]), abs=1e-6)


def test_diversity_by_hand() -> None:
    attention = np.ones((2, 2), np.float32)
    row, whole, _, _ = look(page([[0, 1], [2, 3]], attention))
    between = 1 - sqrt(0.5)
    assert row == pytest.approx((0 + between) / 2, abs=1e-6)
    pairs = [0, between, between, 1, 1, between]  # 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    assert whole == pytest.approx(np.mean(pairs), abs=1e-6)


def test_titles_without_genres_are_left_out_of_pairs() -> None:
    row, whole, _, _ = look(page([[0, 4], [3, 4]], np.ones((2, 2), np.float32)))
    assert np.isnan(row)
    assert whole == pytest.approx(1.0)


def test_novelty_weighs_by_what_is_looked_at() -> None:
    *_, novelty, _ = look(page([[0, 1, 3]], np.array([[1.0, 0.5, 0.5]], np.float32)))
    assert novelty == pytest.approx((1.0 * 0 + 0.5 * log2(8 / 4) + 0.5 * log2(8 / 1)) / 2.0)
    assert self_information(np.array([0, 1]), 8).tolist() == [3.0, 3.0]


def test_churn_by_hand() -> None:
    attention = np.array([[1.0, 0.5, 0.25]], np.float32)
    before, after = page([[0, 1, 2]], attention), page([[1, 0, 3]], attention)
    assert churn(before.read, after.read) == pytest.approx(1 - (0.5 + 0.5) / (1.0 + 1.0 + 0.25 + 0.25))
    assert look(after, before)[3] == pytest.approx(0.6)
    assert churn(before.read, before.read) == 0.0
    assert churn(before.read, page([[3, 4, -1]], attention).read) == 1.0
    assert np.isnan(look(before)[3])


def test_an_empty_page_says_nothing() -> None:
    assert np.isnan(look(page([]), page([]))).all()
