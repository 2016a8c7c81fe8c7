"""Titles like a title, from the neighbours that a snapshot keeps. Pure."""

import numpy as np

from online.requesting import checked_country
from shared.errors import InputError
from shared.pages.answers import Recommendation
from shared.pages.serving import Serving


def similar_titles(serving: Serving, title_id: str, k: int, country: str | None = None) -> list[Recommendation]:
    """The titles most like one, best first; fewer where the snapshot keeps fewer, or some are not shown in the country.

    Raises
    ------
    InputError : the snapshot does not have the title, or the country is no code of two letters.
    """
    available = serving.available(checked_country(country))
    title = serving.index.get(title_id)
    if title is None:
        raise InputError(f"snapshot {serving.version!r} has no title {title_id[:64]!r}")
    near = serving.similar_titles[title]  # (neighbours,)
    places = np.flatnonzero((near >= 0) & (near < serving.count))  # (neighbours that there are,)
    places = places[available[near[places]]][:k]
    return [
        Recommendation(
            title_id=serving.ids[other],
            name=serving.names[other],
            rank=rank,
            score=float(serving.similar_scores[title, place]),
            tier="precomputed",
            evidence=f"similar to {serving.names[title]}",
        )
        for rank, (place, other) in enumerate(zip(places.tolist(), near[places].tolist(), strict=True))
    ]
