from math import log2

import numpy as np
import pytest

from offline.evaluation.pages.relevance import ShownPage, relevance
from shared.config import DeviceFormat
from shared.pages.attention import Attention, BrowseModel
from shared.pages.drafts import Draft
from shared.pages.policies import Placed

ATTENTION = np.array([[1.0, 0.5, 0.25], [0.6, 0.3, 0.15]], np.float32)
"""Cells are read in the order (0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)."""


def page(rows: list[list[int]], attention: np.ndarray = ATTENTION) -> ShownPage:
    titles = np.array(rows, np.int32).reshape(len(rows), -1) if rows else np.zeros((0, 0), np.int32)
    return ShownPage(titles, tuple(f"row {at}" for at in range(len(rows))), attention[: len(rows), : titles.shape[1]])


def test_cells_are_read_by_how_likely_they_are_looked_at() -> None:
    read = page([[10, 11, 12], [20, 21, -1]]).read
    assert read.titles.tolist() == [10, 20, 11, 21, 12]
    assert read.chances.tolist() == pytest.approx([1.0, 0.6, 0.5, 0.3, 0.25])


def test_a_title_that_is_there_twice_counts_where_it_is_looked_at_first() -> None:
    read = page([[10, 11, 20], [20, 10, 12]]).read
    assert read.titles.tolist() == [10, 20, 11, 12]


def test_one_wanted_title_by_hand() -> None:
    found = relevance(page([[10, 11, 12], [20, 21, 22]]), [11], (2, 1))
    assert found.recall == pytest.approx(0.5)
    assert found.ndcg == pytest.approx(1 / log2(4))  # third in the order of reading
    assert found.err == pytest.approx(0.5 / 3)
    assert (found.screen, found.anywhere) == (0.0, 1.0)


def test_several_wanted_titles_by_hand() -> None:
    found = relevance(page([[10, 11, 12], [20, 21, 22]]), [20, 21, 99, 20], (1, 3))
    assert found.recall == pytest.approx((0.6 + 0.3) / 3)
    assert found.ndcg == pytest.approx((1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3) + 1 / log2(4)))
    assert found.err == pytest.approx(0.5 / 2 + 0.5 * 0.5 / 4)
    assert (found.screen, found.anywhere) == (0.0, pytest.approx(2 / 3))


def test_the_best_page_has_all_and_an_empty_one_nothing() -> None:
    best = relevance(page([[1, 3, 9], [2, 8, 7]]), [1, 2, 3], (2, 2))
    assert best.ndcg == pytest.approx(1.0)
    assert (best.screen, best.anywhere) == (1.0, 1.0)
    assert relevance(page([]), [1], (2, 2)) == (0, 0, 0, 0, 0)


def test_a_page_of_one_row_is_judged_as_a_list() -> None:
    attention = BrowseModel().on(DeviceFormat(rows=1, row_length=5)).matrix
    found = relevance(page([[4, 5, 6, 7, 8]], attention), [6], (1, 2))
    assert found.ndcg == pytest.approx(1 / log2(4))
    assert found.err == pytest.approx(0.5 / 3)


def test_nothing_wanted_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="at least one wanted title"):
        relevance(page([[1, 2, 3]]), [], (1, 1))


def test_a_placed_page_becomes_a_grid() -> None:
    draft, short = (Draft(key, key, np.arange(start, start + 4, dtype=np.int32)) for key, start in (("a", 0), ("b", 10)))
    attention = Attention(np.array([1.0, 0.5, 0.2], np.float32), np.array([1.0, 0.5, 0.4, 0.3], np.float32))
    shown = ShownPage.of([Placed(draft, np.array([0, 2, 3])), Placed(short, np.array([1]))], attention)
    assert shown.titles.tolist() == [[0, 2, 3], [11, -1, -1]]
    assert shown.keys == ("a", "b")
    assert shown.attention == pytest.approx(np.array([[1.0, 0.5, 0.4], [0.5, 0.25, 0.2]]))
    assert ShownPage.of([], attention).read.titles.size == 0
