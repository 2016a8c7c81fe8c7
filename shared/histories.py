"""What a member's state says to a model: how much each title counts, what not to retrieve, what to name rows after. Pure.

The live counterpart of `offline.labels`, which makes the same weights of the whole log: where each title was played in one
session they are equal (a parity test). What the state does not keep makes the difference elsewhere: the weights of imported
plays, and that a title was watched more than once.
"""

import itertools

import msgspec

from shared.state import MemberState

GLANCE_SHARE = 0.05
"""Less of a title than this, and nothing else of it: tried and abandoned, which is seen but no sign of liking."""
REPEAT_LIMIT = 2.0
"""In training, coming back to a title counts up to this much: autoplay and children's favourites would drown the rest."""
LIKED_WEIGHT = 1.0
"""A title with a thumb up counts at least like one watched to the end. (Training knows plays only.)"""
ENGAGED_SHARE = 0.5
"""A title watched so far tells enough about the member to name a row after it."""
SEEDS = 10
"""Latest titles kept to name rows after."""


class Seed(msgspec.Struct, frozen=True, array_like=True):
    """A title to name a row after; `weight` is the share that was watched."""

    title_id: str
    weight: float


def weights(state: MemberState) -> dict[str, float]:
    """Title to its weight, for every title that says something about the member's taste, all above 0.

    The share watched; 1 for a title that is known as finished; at least `LIKED_WEIGHT` with a thumb up. A title with a thumb
    down, and one left within `GLANCE_SHARE`, says nothing.
    """
    found = {mark.title_id: 1.0 for mark in state.finished}
    for played in state.played:
        if played.title_id not in found or played.is_finished:
            found[played.title_id] = played.share
    for mark in state.thumbs:
        found[mark.title_id] = max(LIKED_WEIGHT, found.get(mark.title_id, 0.0)) if mark.is_set else 0.0
    return {title_id: weight for title_id, weight in found.items() if weight >= GLANCE_SHARE}


def known_titles(state: MemberState) -> set[str]:
    """Titles that are nothing new to the member: played, however little, finished, or with a thumb down."""
    return {played.title_id for played in state.played} | state.finished_titles | state.disliked_titles


def seeds(state: MemberState) -> tuple[Seed, ...]:
    """What to name "Because You Watched" rows after: the last titles watched for the most part, the newest first."""
    disliked = state.disliked_titles
    engaged = (
        Seed(played.title_id, played.share)
        for played in reversed(state.played)
        if played.share >= ENGAGED_SHARE and played.title_id not in disliked
    )
    return tuple(itertools.islice(engaged, SEEDS))
