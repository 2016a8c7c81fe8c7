"""Finds for each member the few titles that can be among the best, from products of small integers.

Products are made tile by tile and read while the tile is in the cache. What a sample of the titles scores gives a threshold
that the best k will reach, as a guess; titles whose score may reach it are kept. Where the k-th exact score turns out below
the guess, or more titles were kept than there is room for, the member has failed: it is searched for again, from the k-th
score that was found, or else ranked on all titles. So the result is never approximate. Titles come in order of norm, so
that a member is done with once |u| |v| is below the guess.
"""

import threading

import numpy as np
import numpy.typing as npt
import torch

from offline.models import topk_kernels
from offline.models.exact_scores import ExactRanking, Int64Array
from offline.models.screening import TILE, Screen
from offline.models.topk_kernels import ROUNDING, TINY, Found, Reach

MEMBERS = 512  # of a block
ACTIVE_STEP = 32  # members are done with in so many at once, so that products have few shapes
GROUP = 16  # scores of the sample of which only the greatest is looked at
ATTEMPTS = ((2.0, 1), (6.0, 4))
"""Standard deviations by which a guess is put lower than the sample says, and how many times the usual room there is."""
SPARE_ROOM = 2048


class _Buffers(threading.local):
    """What a thread writes to, block after block: fresh memory would cost a page fault every 4 KiB."""

    def __init__(self, screen: Screen, room: int) -> None:
        product = screen.arithmetic.product_type
        self.sample = [torch.empty(MEMBERS * tile.width, dtype=product) for tile in screen.sample]
        self.tile = torch.empty(MEMBERS * TILE, dtype=product)
        self.maxima = np.empty((MEMBERS, sum(tile.width for tile in screen.sample) // GROUP), np.float32)
        self.found = Found(
            np.empty((MEMBERS, room), np.int32),
            np.empty((MEMBERS, room), np.float32),
            np.empty((MEMBERS, room), np.float32),
            np.empty(MEMBERS, np.int64),
        )


class ScreenedSearch:
    """Searches for blocks of members and has what it finds ranked.

    Parameters
    ----------
    margin, room : of `ATTEMPTS`.
    """

    def __init__(self, screen: Screen, ranking: ExactRanking, margin: float, room: int) -> None:
        self._screen, self._ranking, self._margin = screen, ranking, margin
        self._seen = ranking.seen.counts  # (members,)
        usual = int(np.quantile(self._seen, 0.99)) if len(self._seen) else 0
        room *= SPARE_ROOM + 2 * (ranking.width + usual)
        self.worth_while = room <= len(ranking.titles)
        self._buffers = _Buffers(screen, room)
        self._failed: list[Int64Array] = []

    @property
    def failed(self) -> Int64Array:
        """Members that are not ranked yet."""
        return np.sort(np.concatenate([np.zeros(0, np.int64), *self._failed]))

    def rank(self, rows: Int64Array) -> None:
        """Rank the members `rows`, at most `MEMBERS`, none of whose vectors is all zero."""
        screen, ranking, buffers = self._screen, self._ranking, self._buffers
        vectors = ranking.vectors[rows]
        integers = screen.of_members(vectors)
        offset = vectors.astype(np.float64) @ screen.center  # (rows,)
        values = torch.from_numpy(integers.values).to(screen.arithmetic.dtype)  # (rows, factors)
        products = [screen.product(values, tile, room) for tile, room in zip(screen.sample, buffers.sample, strict=True)]
        # A search that failed has still found that so many titles reach the k-th score; where it found k.
        before = ranking.best.scores[rows, ranking.width - 1].astype(np.float64)  # (rows,)
        guess = np.where(np.isfinite(before), before, self._guess(products, rows) * integers.scale + offset)
        least = guess - offset - (np.abs(guess) + np.abs(offset)) * ROUNDING - TINY
        reach = Reach(least, integers.scale, integers.length, integers.error)
        found = buffers.found.rows(len(rows))
        found.counts[:] = 0
        limits = screen.arithmetic.limits
        for tile, product in zip(screen.sample, products, strict=True):
            every = np.arange(len(rows))
            topk_kernels.collect(product.numpy(), every, reach, tile.scale, tile.length, tile.error, tile.start, *limits, found)
        # Those who are done with soonest come last, so that the others are the first rows of the block.
        needed = least / (integers.length + integers.error)  # (rows,) norm that a title must have
        order = np.argsort(needed)
        needed, values = needed[order], values[torch.from_numpy(order)]
        for tile in screen.rest:
            active = int(np.searchsorted(needed, tile.length, side="right"))
            active = min(len(rows), -(-active // ACTIVE_STEP) * ACTIVE_STEP)
            if active:
                product = screen.product(values[:active], tile, buffers.tile)
                topk_kernels.collect(
                    product.numpy(), order, reach, tile.scale, tile.length, tile.error, tile.start, *limits, found
                )
        crowded = found.counts > found.titles.shape[1]  # (rows,)
        ranking.rank_found(rows, found, screen.title_of, offset)
        reached = ranking.best.scores[rows, ranking.width - 1] >= guess
        self._failed.append(rows[crowded | ~reached])

    def _guess(self, products: list[torch.Tensor], rows: Int64Array) -> npt.NDArray[np.float64]:
        """A score that about as many titles reach as must be looked at, in units of each member's scale, `(rows,)`."""
        screen, maxima = self._screen, self._buffers.maxima[: len(rows)]
        start = 0
        for tile, product in zip(screen.sample, products, strict=True):
            topk_kernels.group_maxima(product.numpy(), tile.scale, GROUP, start, maxima)
            start += tile.width // GROUP
        # Of the sample, `expected` titles are among the best on average; the count of those that are is nearly Poisson.
        titles = len(self._ranking.titles)
        expected = (self._ranking.width + self._seen[rows]) * screen.sampled / titles
        wanted = (self._margin / 2 + np.sqrt(self._margin**2 / 4 + expected)) ** 2  # wanted - margin √wanted = expected
        share = np.minimum(wanted / screen.sampled, 1.0)
        groups = np.ceil((1 - (1 - share) ** GROUP) * screen.sampled / GROUP).astype(np.int64)  # whose greatest is above
        place = maxima.shape[1] - np.clip(groups, 1, maxima.shape[1])
        guess = np.take_along_axis(np.sort(maxima, axis=1), place[:, None], axis=1)[:, 0]  # (rows,)
        return guess.astype(np.float64)
