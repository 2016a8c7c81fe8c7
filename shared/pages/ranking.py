"""A pool's titles in order of the trained ranker's score; of the blend's own where a snapshot carries no ranker. Pure."""

from dataclasses import dataclass

import numpy as np

from shared.pages.blending import Pool
from shared.pages.facts import Facts
from shared.pages.features import features
from shared.pages.ranker import Ranker
from shared.pages.request import Request
from shared.pages.serving import Indices, Mask, Scores, Serving


@dataclass(frozen=True, slots=True)
class Ranking:
    """The pool in order.

    Attributes
    ----------
    order : (n,) int32, the pool's titles, best first.
    scores : (titles,) float32 of all titles of the catalogue; 0 outside the pool.
    is_open : (titles,) bool, what may be recommended.
    """

    order: Indices
    scores: Scores
    is_open: Mask


def rank(serving: Serving, facts: Facts, request: Request, pool: Pool) -> Ranking:
    """Order the pool: by the chance of a play where the snapshot carries a ranker, by the blend's score where it does not."""
    ranker = ranker_of(serving)
    if ranker is None or not len(pool.titles):
        return in_order(pool, pool.scores)
    return in_order(pool, ranker.scores(features(serving, facts.state, request, pool.titles, pool.source_scores)))


def ranker_of(serving: Serving) -> Ranker | None:
    """The snapshot's ranker; None when it carries none.

    Raises
    ------
    SnapshotError : it was trained with other features, or its arrays cannot be.
    """
    return serving.once(_load_ranker)


def _load_ranker(serving: Serving) -> Ranker | None:
    return Ranker.of(serving.snapshot.arrays)


def in_order(pool: Pool, scores: Scores) -> Ranking:
    """The pool by some score; equal scores keep the order of their indices, on every machine.

    Parameters
    ----------
    scores : (n,) float32 of the pool's titles, none negative.
    """
    # A float that is not negative orders like its bits. With the place below them, a plain sort of integers, which is several
    # times as fast as a stable argsort, orders scores and ties at once.
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.uint32).astype(np.uint64)  # (n,)
    keys = ((np.uint64(0xFFFFFFFF) - bits) << np.uint64(32)) | np.arange(len(bits), dtype=np.uint64)
    keys.sort()
    order = pool.titles[keys.astype(np.uint32)]
    dense = np.zeros(len(pool.is_open), dtype=np.float32)
    dense[pool.titles] = scores
    return Ranking(order=order, scores=dense, is_open=pool.is_open)
