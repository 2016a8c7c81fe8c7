"""New titles get vectors by their genres: the right ones where the truth is known."""

import numpy as np
import pytest
from scipy import sparse

from offline.models.content import ContentPrior, one_hot
from shared.errors import InputError


def test_one_hot_shares_a_title_among_its_genres() -> None:
    found = one_hot([("b", "a"), (), ("a", "a")])
    np.testing.assert_array_equal(found.toarray(), np.float32([[0.5, 0.5], [0, 0], [1, 0]]))


def test_a_vector_is_near_that_of_its_genre_and_trusts_what_was_played() -> None:
    random = np.random.default_rng(0)
    truth = np.float32([[3, 0, 0], [0, 3, 0]])  # (genres, factors)
    genre = random.integers(2, size=200)
    factors = (truth[genre] + 0.2 * random.standard_normal((200, 3))).astype(np.float32)
    plays = np.full(200, 50, np.float32)
    factors[:20], plays[:20] = 100, 0  # of titles without plays nothing must be learned
    prior = ContentPrior(factors, plays, one_hot([("ab"[one],) for one in genre]))
    np.testing.assert_allclose(prior.vectors(one_hot([("a",), ("b",)])), truth, atol=0.2)


def test_a_rare_genre_is_shrunk_to_the_mean_and_none_at_all_is_the_mean() -> None:
    factors = np.zeros((50, 2), np.float32)
    factors[:, 0] = 1
    factors[49] = [1, 8]
    prior = ContentPrior(factors, np.full(50, 20, np.float32), one_hot([("rare",) if row == 49 else ("a",) for row in range(50)]))
    [rare, common] = prior.vectors(sparse.csr_array(np.float32([[0, 1], [1, 0]])))
    assert prior.mean[1] < rare[1] < 4 and abs(common[1]) < 0.2
    np.testing.assert_allclose(prior.vectors(sparse.csr_array(np.zeros((1, 2), np.float32)))[0], prior.mean)


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="3 vectors, 2 plays"):
        ContentPrior(np.zeros((3, 2), np.float32), np.zeros(2, np.float32), one_hot([("a",)] * 3))
