"""Visits: when a member came to the page, what was known then, and what they played next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared import state as states
from shared.events import Play
from shared.histories import GLANCE_SHARE
from shared.state import MemberState
from shared.titles import UNKNOWN_COUNTRY

PAUSE_MS = 4 * 3600 * 1000
"""After so long without a play, a member who goes on comes back to the page."""


class Visit(NamedTuple):
    """A page asked for.

    Attributes
    ----------
    at_ms : when.
    state : of all that was played before.
    country, device : where what came next was played; the country is None where nobody knows.
    wanted : title ids played from or after this page, each once, all but those only glanced at.
    """

    at_ms: int
    state: MemberState
    country: str | None
    device: str
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Splitting:
    """What a visit is.

    Attributes
    ----------
    plays : after so many plays the page is asked for anew, also within a session.
    visits : most visits of a member, the first ones.
    """

    plays: int = 5
    visits: int = 10


def visits(past: Sequence[Play], later: Sequence[Play], how: Splitting) -> Iterator[Visit]:
    """One member's visits in the order of time.

    Parameters
    ----------
    past : plays before the first visit, in any order.
    later : plays from then on, by time.
    """
    state = states.fold(states.EMPTY, past)
    given = 0
    for of_visit in _split(later, how.plays):
        first = of_visit[0]
        watched = {play.title_id: None for play in of_visit if play.position_s >= GLANCE_SHARE * play.runtime_s}
        if watched:
            # A play is reported when it stops, and the page was there before it began, but after what had stopped already.
            begun_ms = max(first.at_ms - round(first.watched_s * 1000), state.updated_at_ms)
            country = None if first.country == UNKNOWN_COUNTRY else first.country
            yield Visit(begun_ms, state, country, first.device, tuple(watched))
            given += 1
            if given == how.visits:
                return
        state = states.fold(state, of_visit)


def _split(plays: Iterable[Play], most: int) -> Iterator[list[Play]]:
    """Plays that came from the same page, as far as one can tell."""
    current: list[Play] = []
    for play in plays:
        last = current[-1] if current else None
        if last is not None and (
            play.session_id != last.session_id or play.at_ms - last.at_ms > PAUSE_MS or len(current) == most
        ):
            yield current
            current = []
        current.append(play)
    if current:
        yield current
