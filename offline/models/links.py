"""What titles have in common: the members who watched both, as sparse links between titles."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.models.parallel import Workers

FloatArray = npt.NDArray[np.float32]
Links = sparse.csr_array[np.float32]
"""`(titles, titles)`; row i holds the links from title i, sorted by index. None goes from a title to itself."""

_CELLS = 8_388_608
"""Of a block of links before the weaker ones are left out, were they all there."""


def scaled(
    histories: sparse.csr_array[np.float32], member_exponent: float, titles: FloatArray | None = None
) -> sparse.csr_array[np.float32]:
    """Histories divided by the length of each to an exponent, and their columns multiplied by `titles`, `(titles,)`."""
    length = np.diff(histories.indptr)  # (members,)
    rows = np.maximum(length, 1).astype(np.float32) ** np.float32(-member_exponent)
    data = histories.data * np.repeat(rows, length)
    if titles is not None:
        data *= titles[histories.indices]
    return sparse.csr_array((data, histories.indices, histories.indptr), shape=histories.shape)


def find_links(histories: sparse.csr_array[np.float32], power: float, source: FloatArray, target: FloatArray, most: int) -> Links:
    """Link titles by what they have in common: source_i x (XᵀX)_ij^power x target_j.

    Parameters
    ----------
    histories : X, `(members, titles)` CSR.
    source, target : `(titles,)` factors of the title that a link goes from, and to.
    most : links kept from a title, the strongest.
    """
    by_title = histories.T.tocsr()  # (titles, members)
    titles = by_title.shape[0]
    step = max(1, _CELLS // titles)
    blocks: list[Any] = [None] * len(range(0, titles, step))

    def link(number: int) -> None:
        start = number * step
        found = (by_title[start : start + step] @ histories).tocsr()  # (block, titles)
        row = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))  # (entries,)
        found.data = np.where(
            found.indices == row + start,
            np.float32(0),
            found.data ** np.float32(power) * source[row + start] * target[found.indices],
        ).astype(np.float32)
        blocks[number] = strongest(found, most)

    with Workers(torch.device("cpu")) as workers:
        workers.for_each(link, range(len(blocks)))
    links: Links = sparse.vstack(blocks, format="csr")
    return links


def strongest(links: sparse.csr_array[np.float32], most: int) -> sparse.csr_array[np.float32]:
    """Keep the `most` greatest entries of each row that are above 0, of equal ones those of lower index; indices sorted."""
    links.eliminate_zeros()
    links.sort_indices()
    length = np.diff(links.indptr)
    for row in np.flatnonzero(length > most):
        entries = slice(links.indptr[row], links.indptr[row + 1])
        order = np.argsort(-links.data[entries], kind="stable")
        links.data[entries][order[most:]] = 0.0
    links.eliminate_zeros()
    return links
