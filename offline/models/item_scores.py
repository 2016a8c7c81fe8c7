"""Histories times weights between titles, added into a tile of scores: compiled, and free of the interpreter's lock.

Sparse products of scipy's make a sparse result first, or copy dense weights that are not contiguous; these add in place.
"""

from typing import Any

import numba
import numpy as np

_compiled: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@_compiled
def add_dense(starts, titles, values, weights, first, tile):  # type: ignore[no-untyped-def]  # compiled
    """Add Σ value x weights[title] over each history's entries.

    Parameters
    ----------
    starts, titles, values : the histories, `(n, titles)` CSR.
    weights : `(titles, titles)` float32.
    first : the tile's first column.
    tile : `(n, columns)` float32, written to.
    """
    for row in range(tile.shape[0]):
        for entry in range(starts[row], starts[row + 1]):
            title, value = titles[entry], values[entry]
            for column in range(tile.shape[1]):
                tile[row, column] += value * weights[title, first + column]


@_compiled
def add_sparse(starts, titles, values, weight_starts, weight_titles, weights, first, tile):  # type: ignore[no-untyped-def]
    """As `add_dense`, with the weights between titles as CSR whose column indices are sorted."""
    last = first + tile.shape[1]
    for row in range(tile.shape[0]):
        for entry in range(starts[row], starts[row + 1]):
            title, value = titles[entry], values[entry]
            begin, end = weight_starts[title], weight_starts[title + 1]
            if first > 0:
                begin += np.searchsorted(weight_titles[begin:end], first)
            for place in range(begin, end):
                column = weight_titles[place]
                if column >= last:
                    break
                tile[row, column - first] += value * weights[place]
