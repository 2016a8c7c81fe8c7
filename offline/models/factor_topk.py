"""The best k titles of each member where scores are products of vectors: exact, and faster than the plain product of all.

Called by models' `recommend`. Members come in blocks; `screened_search` finds the few titles that can be among a member's
best, and `exact_scores` ranks those. Where there is too little to search, or a search failed, all titles are ranked.
"""

from functools import partial

import numpy as np
import torch

from offline.models.exact_scores import ExactRanking, FloatArray, Int64Array, Seen
from offline.models.parallel import Workers
from offline.models.screened_search import ATTEMPTS, MEMBERS, ScreenedSearch
from offline.models.screening import Arithmetic, Screen, arithmetic
from offline.models.topk import CPU, Exclude, TopK, check, slices, top_k
from shared.errors import InputError

LEAST_TITLES = 4096  # for fewer, ranking all is as fast
LEAST_MEMBERS = 64  # for fewer, making a screen takes longer than it saves
GREATEST = float(np.finfo(np.float32).max)
EXACT_SCORES = 1_048_576  # of a block of members for whom all titles are ranked


class FactorRanking:
    """Ranks one set of titles for any members.

    The titles are laid out for searching once, by the time as many members have come as make that worth while; so keep it
    for as long as the factors stay the same.

    Parameters
    ----------
    titles : `(titles, factors)` float32, not written to afterwards.
    fallback : `(titles,)` float32, scores for members whose vector is all zero; None: all 0.
    device : on a GPU scores are float32 products of whole tiles, with the rounding that those have.
    with_ : arithmetic of the search; None: the fastest that is exact on this machine.

    Raises
    ------
    InputError : factors are not finite, or the arrays do not fit together.
    """

    def __init__(
        self,
        titles: FloatArray,
        fallback: FloatArray | None = None,
        device: torch.device = CPU,
        with_: Arithmetic | None = None,
    ) -> None:
        self.titles = _checked(titles, "title")
        self._fallback = np.zeros(len(titles), np.float32) if fallback is None else fallback
        if self._fallback.shape != (len(titles),):
            raise InputError(f"fallback is {self._fallback.shape}; expected a score for each of {len(titles)} titles")
        self._device, self._arithmetic = device, with_
        self._longest = _longest(self.titles)
        self._screen: Screen | None = None
        self._members_so_far = 0

    def top_k(self, members: FloatArray, k: int, exclude: Exclude = None) -> TopK:
        """Rank for members given by their vectors, `(n, factors)` float32.

        Raises
        ------
        InputError : k is below 1, `exclude` or the vectors are of another shape, or vectors are not finite or so long that
            a product does not fit float32.
        """
        vectors = _checked(members, "member")
        count, factors = self.titles.shape
        if vectors.shape[1] != factors:
            raise InputError(f"the members have {vectors.shape[1]} factors each and the titles {factors}; expected as many")
        check(k, len(vectors), count, exclude)
        if not _longest(vectors) * self._longest < GREATEST:
            raise InputError("the factors are so great that products of members and titles do not fit float32")
        if self._device.type != "cpu":
            return self._rank_tiles(vectors, k, exclude)
        ranking = ExactRanking(vectors, self.titles, k, Seen.of(exclude, len(vectors)))
        known = vectors.any(axis=1)  # (n,)
        self._rank(ranking, np.flatnonzero(known))
        others = np.flatnonzero(~known)
        if others.size:
            fallback = torch.from_numpy(self._fallback)
            ranking.best.titles[others], ranking.best.scores[others] = top_k(
                lambda rows, columns: fallback[columns].repeat(rows.stop - rows.start, 1),
                len(others),
                count,
                k,
                None if exclude is None else exclude[others],
            )
        return ranking.best

    def _rank(self, ranking: ExactRanking, rows: Int64Array) -> None:
        self._members_so_far += len(rows)
        with Workers(CPU) as workers:
            if self._members_so_far >= LEAST_MEMBERS and len(self.titles) >= LEAST_TITLES:
                if self._screen is None:
                    self._screen = Screen(self.titles, self._arithmetic or arithmetic())
                for margin, room in ATTEMPTS:
                    search = ScreenedSearch(self._screen, ranking, margin, room)
                    if search.worth_while and rows.size:
                        workers.for_each(search.rank, (rows[part] for part in slices(len(rows), MEMBERS)))
                        rows = search.failed
            block = max(1, EXACT_SCORES // max(1, len(self.titles)))
            workers.for_each(ranking.rank_all, (rows[part] for part in slices(len(rows), block)))

    def _rank_tiles(self, vectors: FloatArray, k: int, exclude: Exclude) -> TopK:
        on_device = partial(torch.Tensor.to, device=self._device)
        members, titles = on_device(torch.from_numpy(vectors)), on_device(torch.from_numpy(self.titles))
        fallback = on_device(torch.from_numpy(self._fallback))  # (titles,)
        unknown = ~members.any(dim=1)  # (n,)

        def score(rows: slice, columns: slice) -> torch.Tensor:
            tile = members[rows] @ titles[columns].T  # (block, tile)
            tile[unknown[rows]] = fallback[columns]
            return tile

        return top_k(score, len(vectors), len(self.titles), k, exclude, self._device)


def _checked(vectors: FloatArray, whose: str) -> FloatArray:
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise InputError(f"the {whose}s' factors are {vectors.shape}; expected a row of factors for each {whose}")
    finite = np.isfinite(vectors).all(axis=1)  # (n,)
    if not finite.all():
        raise InputError(f"the factors of {whose} {int(np.argmin(finite))} are not finite; expected numbers")
    return np.ascontiguousarray(vectors, np.float32)


def _longest(vectors: FloatArray) -> float:
    """The greatest norm."""
    squares = np.einsum("nf,nf->n", vectors, vectors, dtype=np.float64)
    return float(np.sqrt(squares.max(initial=0.0)))
