"""What pages show, whether or not it was wanted: diversity within rows and over the page, novelty, churn from visit to visit."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from offline.evaluation.pages.relevance import Read, ShownPage
from shared.pages.serving import Mask, Scores

FloatArray = npt.NDArray[np.floating[Any]]


class Variety(NamedTuple):
    """What a page shows; NaN where it says nothing.

    Attributes
    ----------
    row_diversity : mean over the rows of the intra-list diversity of their genres, 0 to 1.
    page_diversity : the same over all titles of the page together.
    novelty : mean self-information of what is looked at, -log2 of the share of members who played it, in bits (Zhou et al. 2010),
        each title weighted by the chance that it is looked at (Vargas and Castells 2011, eq. 12).
    churn : how much of what is looked at was not there on the member's last page, 0 to 1.
    """

    row_diversity: float
    page_diversity: float
    novelty: float
    churn: float


def genre_vectors(genre_titles: Mask) -> Scores:
    """Each title's genres as a vector of length 1, (titles, genres) float32; zero for a title without genres.

    Parameters
    ----------
    genre_titles : (genres, titles) bool.
    """
    count = genre_titles.sum(axis=0)  # (titles,)
    vectors: Scores = (genre_titles / np.sqrt(np.maximum(count, 1))).T.astype(np.float32)  # (titles, genres)
    return vectors


def self_information(members_of: npt.NDArray[np.integer[Any]], members: int) -> FloatArray:
    """-log2 of the share of members who played each title, (titles,) bits; a title that nobody played counts as played by one."""
    information: FloatArray = -np.log2(np.maximum(members_of, 1) / max(1, members))
    return information


def variety(page: ShownPage, previous: ShownPage | None, vectors: Scores, information: FloatArray) -> Variety:
    """Look at a page.

    Parameters
    ----------
    previous : the member's page of the visit before; None for a first one.
    vectors : (titles, genres) of `genre_vectors`.
    information : (titles,) of `self_information`.
    """
    titles, chances = page.read
    of_rows = [_diversity(vectors[row[row >= 0]]) for row in page.titles]
    known = [one for one in of_rows if not np.isnan(one)]
    total = float(chances.sum())
    return Variety(
        row_diversity=float(np.mean(known)) if known else np.nan,
        page_diversity=_diversity(vectors[titles]),
        novelty=float(chances @ information[titles]) / total if total else np.nan,
        churn=np.nan if previous is None else churn(previous.read, page.read),
    )


def churn(before: Read, after: Read) -> float:
    """How much changed between two pages: 1 - Σ min(a, b) / Σ max(a, b) over the titles, a and b their chances to be looked at.

    The weighted Jaccard distance: 0 for the same page, 1 for pages without a title in common, little where only the far corner
    changed.
    """
    old, new = (dict(zip(read.titles.tolist(), read.chances.tolist(), strict=True)) for read in (before, after))
    names = old.keys() | new.keys()
    most = sum(max(old.get(title, 0.0), new.get(title, 0.0)) for title in names)
    least = sum(min(old[title], new[title]) for title in old.keys() & new.keys())
    return 1.0 - least / most if most else np.nan


def _diversity(vectors: Scores) -> float:
    """Mean over pairs of titles of 1 - cosine (Ziegler et al. 2005), by |Σv|² = n + 2 Σ_pairs cos.

    Titles without genres are left out.

    Parameters
    ----------
    vectors : (n, genres), rows of length 1 or 0.
    """
    count = int(vectors.any(axis=1).sum())
    if count < 2:
        return np.nan
    together = vectors.sum(axis=0, dtype=np.float64)  # (genres,)
    return float(1.0 - (together @ together - count) / (count * (count - 1)))
