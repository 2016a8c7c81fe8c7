"""The best k titles of each member, exactly, in blocks of bounded memory.

`top_k` asks a scorer for one tile (some members x some titles) at a time, leaves out what is excluded, and keeps a
running best k. Where scores are products of vectors, `factor_topk` is faster.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.models.parallel import Workers
from shared.errors import InputError

Scorer = Callable[[slice, slice], torch.Tensor]
"""Gives the scores of some members (first slice) for some titles (second): a fresh `(members, titles)` float32 tensor."""

CPU = torch.device("cpu")
TITLE_TILE = 32_768
TILE_SCORES = 4_194_304  # 16 MiB of scores a tile

Exclude = sparse.csr_array[np.float32] | None


class TopK(NamedTuple):
    """Ranked titles, the best first; equal scores in order of the title's index.

    `titles` is `(n, k)` int32 and `scores` `(n, k)` float32. Where fewer than k titles remain, the rest of the row is
    -1 and -inf.
    """

    titles: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


def top_k(score: Scorer, members: int, titles: int, k: int, exclude: Exclude = None, device: torch.device = CPU) -> TopK:
    """Rank `titles` titles for `members` members.

    Parameters
    ----------
    score : the scorer; its tiles are written to.
    exclude : `(members, titles)` CSR; a stored entry, whatever its value, is left out.
    device : where the scorer's tiles are.

    Raises
    ------
    InputError : k is below 1, or `exclude` has another shape.
    """
    check(k, members, titles, exclude)
    best = TopK(np.full((members, k), -1, np.int32), np.full((members, k), -np.inf, np.float32))
    block = max(1, TILE_SCORES // max(1, min(titles, TITLE_TILE)))

    def rank_block(rows: slice) -> None:
        scores, indices = _best_of_rows(score, rows, titles, k, exclude)
        width = indices.shape[1]
        found = np.isfinite(scores)
        best.scores[rows, :width] = np.where(found, scores, -np.inf)
        best.titles[rows, :width] = np.where(found, indices, -1)

    with Workers(device) as workers:
        workers.for_each(rank_block, slices(members, block))
    return best


def check(k: int, members: int, titles: int, exclude: Exclude) -> None:
    """Raise `InputError` for a k below 1, or an `exclude` of another shape."""
    if k < 1:
        raise InputError(f"k is {k}; expected at least 1")
    if exclude is not None and exclude.shape != (members, titles):
        raise InputError(f"exclude is {exclude.shape}; expected a row a member and a column a title, {members, titles}")


def slices(length: int, step: int) -> Iterator[slice]:
    """Cut `length` rows into blocks of `step`."""
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _best_of_rows(
    score: Scorer, rows: slice, titles: int, k: int, exclude: Exclude
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Run over all tiles of one block of members; returns `(block, min(k, titles))` scores and indices."""
    kept_scores = torch.empty((rows.stop - rows.start, 0))
    kept_titles = torch.empty((rows.stop - rows.start, 0), dtype=torch.int64)
    for columns in slices(titles, TITLE_TILE):
        tile = score(rows, columns)  # (block, tile)
        if exclude is not None:
            _mask(tile, exclude, rows, columns)
        scores, indices = _tile_top_k(tile, k)
        kept_scores = torch.cat([kept_scores.to(tile.device), scores], dim=1)  # (block, <= 2k)
        kept_titles = torch.cat([kept_titles.to(tile.device), indices + columns.start], dim=1)
        # Both halves are in order and the new one has the higher indices, so a stable sort settles ties rightly.
        kept_scores, order = kept_scores.sort(dim=1, descending=True, stable=True)
        kept_scores = kept_scores[:, :k]
        kept_titles = kept_titles.gather(1, order[:, :k])
    return kept_scores.cpu().numpy(), kept_titles.cpu().numpy()


def _tile_top_k(tile: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Exact top k of each row of one tile, `(block, min(k, tile))`: by score, then by index."""
    width = min(k, tile.shape[1])
    reach = min(width + 1, tile.shape[1])
    scores, indices = tile.topk(reach, dim=1)
    if reach > width:
        # topk breaks ties as it likes; only a tie across the cut can change which titles are taken.
        tied = torch.nonzero((scores[:, width - 1] == scores[:, width]) & ~torch.isinf(scores[:, width - 1])).flatten()
        scores, indices = scores[:, :width], indices[:, :width]
        if tied.numel():
            indices[tied] = _first_of_tied(tile[tied], scores[tied, -1:], width)
            scores[tied] = tile[tied].gather(1, indices[tied])
    indices, order = indices.sort(dim=1)
    scores, by_score = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return scores, indices.gather(1, by_score)


def _first_of_tied(tile: torch.Tensor, cut: torch.Tensor, width: int) -> torch.Tensor:
    """Indices of all scores above the cut and of the first ones equal to it, `width` a row, in order of index."""
    above = tile > cut
    equal = tile == cut
    missing = width - above.sum(dim=1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(dim=1) <= missing))
    return chosen.nonzero()[:, 1].reshape(-1, width)


def _mask(tile: torch.Tensor, exclude: sparse.csr_array[np.float32], rows: slice, columns: slice) -> None:
    """Set the excluded cells of a tile to -inf, in place."""
    start, stop = exclude.indptr[rows.start], exclude.indptr[rows.stop]
    titles = exclude.indices[start:stop]
    members = np.repeat(np.arange(rows.stop - rows.start), np.diff(exclude.indptr[rows.start : rows.stop + 1]))
    inside = (titles >= columns.start) & (titles < columns.stop)
    cells = members[inside].astype(np.int64) * tile.shape[1] + (titles[inside] - columns.start)
    tile.view(-1).index_fill_(0, torch.from_numpy(cells).to(tile.device), -torch.inf)
