"""Genres of the titles: read from a file of titles, and what lists make of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from offline.evaluation.ranking import FloatArray
from offline.evaluation.shown import Shown, Sparse, indicator, ones
from offline.flat_files import read_table
from offline.interactions import Ids
from offline.models.content import one_hot
from shared.errors import InputError

Genres = Mapping[str, Sequence[str]]
"""Title id to its genres."""

SMOOTHING = 0.01


def read_genres(path: str | Path) -> Genres:
    """Read `title_id` and `genres` (with "|" between them, in Parquet also a list) from CSV, CSV.gz or Parquet.

    Raises
    ------
    InputError : the file is missing, of an unknown kind, lacks a column, or cannot be read.
    """
    table = read_table(Path(path), "titles", {"title_id": pa.string(), "genres": pa.string()}, ("title_id", "genres"))
    ids = table["title_id"].cast(pa.string()).to_pylist()
    return dict(zip(ids, map(_listed, table["genres"].to_pylist()), strict=True))


def genre_shares(genres: Genres, title_ids: Ids) -> Sparse:
    """`(titles, genres)`: each title's genres in equal shares that sum to 1; an empty row where none is known.

    Raises
    ------
    InputError : none of the titles has a genre.
    """
    shares = one_hot([genres.get(title, ()) for title in title_ids])
    if not shares.shape[1]:
        raise InputError(f"none of the {len(title_ids):,} titles that are ranked has a genre in the file of titles")
    return shares


def calibration(shown: Shown, histories: Sparse, shares: Sparse) -> FloatArray:
    """How far the genres of a list are from those of the member's history; 0 when in the same proportions.

    Steck 2018, "Calibrated recommendations", equations 2 to 5 with α = 0.01 and all titles of equal weight: the divergence
    KL(p || q̃) = Σ p ln(p / q̃) of the history's genres p from q̃ = (1 - α) q + α p, q the list's.

    Parameters
    ----------
    histories : `(members, titles)`; stored zeros do not count.
    shares : `(titles, genres)` of `genre_shares`.

    Returns
    -------
    `(members,)`, NaN where history or list has no title with a genre.
    """
    p = _distribution(ones(histories) @ shares)  # (members, genres)
    q = _distribution(indicator(shown, shares.shape[0]) @ shares)  # (members, genres)
    smoothed = (1 - SMOOTHING) * q + SMOOTHING * p
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(p > 0, p * np.log(p / smoothed), 0.0)
    divergence: FloatArray = np.where(np.isnan(p).any(axis=1) | np.isnan(q).any(axis=1), np.nan, terms.sum(axis=1))
    return divergence


def _distribution(counts: Sparse) -> FloatArray:
    dense = counts.toarray().astype(np.float64)
    with np.errstate(invalid="ignore"):
        share: FloatArray = dense / dense.sum(axis=1, keepdims=True)
    return share


def _listed(genres: str | Sequence[str] | None) -> list[str]:
    if genres is None:
        return []
    return [name for name in (genres.split("|") if isinstance(genres, str) else genres) if name]
