"""The reference for every fast top-k: sort all scores."""

import numpy as np
import numpy.typing as npt

from offline.models.topk import TopK


def sorted_top_k(scores: npt.NDArray[np.float32], k: int, excluded: npt.NDArray[np.bool_]) -> TopK:
    """The best k of each row of `(members, titles)` scores, equal ones by index, without the excluded cells."""
    allowed = np.where(excluded, -np.inf, scores).astype(np.float32)
    order = np.argsort(-allowed, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(allowed, order, axis=1)
    missing = ((0, 0), (0, k - order.shape[1]))
    return TopK(
        np.pad(np.where(np.isneginf(best), -1, order), missing, constant_values=-1).astype(np.int32),
        np.pad(best, missing, constant_values=-np.inf),
    )


def assert_same(found: TopK, expected: TopK) -> None:
    np.testing.assert_array_equal(found.titles, expected.titles)
    np.testing.assert_array_equal(found.scores, expected.scores)
