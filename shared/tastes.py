"""A member's tastes by genre, long-term and short-term: a view of the state, worked out when somebody needs it.

    taste(g) = Σ weight · 2 ^ (-age / half-life)    over the titles of genre g

A title weighs the share of it that was watched, a thumb adds or takes away `THUMB_WEIGHT`, and a title given up counts
against its genres. Age is in event time, up to a time that the caller names. The state keeps facts and no running sums, so
repeated and late events cannot bend a taste, and a catalogue whose genres were corrected corrects all tastes at once.
Pure, and the same to the last bit for the same state: entries are added in the state's order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.state import MemberState

SHORT_HALF_LIFE_MS = 12 * 3600 * 1000
LONG_HALF_LIFE_MS = 60 * 24 * 3600 * 1000
THUMB_WEIGHT = 1.0
ABANDONED_WEIGHT = -0.25


@dataclass(frozen=True, slots=True)
class Tastes:
    """Genre to taste; genres without any are left out. A taste below zero is a dislike."""

    short: dict[str, float]
    long: dict[str, float]


def tastes(state: MemberState, genres: Mapping[str, Sequence[str]], now_ms: int) -> Tastes:
    """Work out a member's tastes.

    Parameters
    ----------
    genres : title id to the title's genres; a title that it does not know tells nothing.
    now_ms : the time to decay to. What is newer counts in full.
    """
    short: dict[str, float] = {}
    long: dict[str, float] = {}
    for title_id, at_ms, weight in _signs(state, now_ms):
        age_ms = max(0, now_ms - at_ms)
        of_title = genres.get(title_id, ())
        for genre in of_title:
            # A title of many genres says less about each of them.
            share = weight / len(of_title)
            short[genre] = short.get(genre, 0.0) + share * 2.0 ** (-age_ms / SHORT_HALF_LIFE_MS)
            long[genre] = long.get(genre, 0.0) + share * 2.0 ** (-age_ms / LONG_HALF_LIFE_MS)
    return Tastes(short, long)


def _signs(state: MemberState, now_ms: int) -> Iterator[tuple[str, int, float]]:
    """What the state says about single titles: title id, event time, weight."""
    played = {entry.title_id for entry in state.played}
    for entry in state.played:
        yield entry.title_id, entry.at_ms, ABANDONED_WEIGHT if entry.is_abandoned(now_ms) else entry.share
    for mark in state.finished:
        if mark.title_id not in played:
            yield mark.title_id, mark.at_ms, 1.0
    for mark in state.thumbs:
        yield mark.title_id, mark.at_ms, THUMB_WEIGHT if mark.is_set else -THUMB_WEIGHT
