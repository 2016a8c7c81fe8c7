"""A member's live state in the words of a page for people: names in the place of ids, ages in the place of times. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from online.drawing.wording import age, duration
from shared.events import FeedbackKind
from shared.pages.serving import Serving
from shared.state import Mark, MemberState, Played
from shared.tastes import tastes

TASTES = 8
"""Genres shown of each taste."""
TOKENS = 12
LISTED = 8
"""Titles shown of each part of the state; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One title of the state. `share` is how far in the member is, 0 to 1; None where that says nothing."""

    title_id: str
    name: str
    note: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the state: its newest titles, and how many there are in all."""

    name: str
    entries: tuple[Entry, ...]
    count: int

    @property
    def more(self) -> int:
        """Titles that are not shown."""
        return self.count - len(self.entries)


@dataclass(frozen=True, slots=True)
class Taste:
    """One genre: its short-term and long-term taste, and each as a share of the strongest of its term, -1 to 1."""

    genre: str
    short: float
    long: float
    short_share: float
    long_share: float


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is known live about a member, to be looked at."""

    is_known: bool
    updated: str
    session: str | None
    parts: tuple[Part, ...]
    tastes: tuple[Taste, ...]


def live_state(state: MemberState, serving: Serving, now_ms: int) -> LiveState:
    """Put a state into words.

    Parameters
    ----------
    serving : names the titles; one that it does not have keeps its id.
    """

    def part(name: str, entries: Iterable[Entry]) -> Part:
        found = tuple(entries)
        return Part(name, found[:LISTED], len(found))

    def entry(title_id: str, note: str, share: float | None = None) -> Entry:
        title = serving.index.get(title_id)
        return Entry(title_id, title_id if title is None else serving.names[title], note, share)

    def played(at: Played) -> Entry:
        left = duration((at.runtime_ms - at.position_ms) / 1000)
        return entry(at.title_id, f"{left} left · {_ago(at.at_ms, now_ms)}", at.share)

    def marked(marks: Iterable[Mark]) -> list[Entry]:
        return [entry(mark.title_id, _ago(mark.at_ms, now_ms)) for mark in reversed(tuple(marks))]

    session = state.session()
    tokens = [entry(token.title_id, _ago(token.at_ms, now_ms), token.share) for token in reversed(state.tokens(TOKENS))]
    parts = [
        part("In progress", (played(at) for at in state.in_progress() if not at.is_abandoned(now_ms))),
        part("Finished", marked(state.finished)),
        part("Thumbs up", marked(mark for mark in state.thumbs if mark.is_set)),
        part("Thumbs down", marked(mark for mark in state.thumbs if not mark.is_set)),
        part("My List", marked(mark for mark in state.my_list if mark.is_set)),
        part("Given up", (played(at) for at in state.abandoned(now_ms))),
        Part("Sequence that models read, newest first", tuple(tokens), len(tokens)),
    ]
    return LiveState(
        is_known=state.updated_at_ms > 0,
        updated=_ago(state.updated_at_ms, now_ms),
        session=None
        if session is None
        else f"{session.session_id} · {len(session.played)} title{'' if len(session.played) == 1 else 's'}, "
        f"begun {_ago(session.since_ms, now_ms)}",
        parts=tuple(part for part in parts if part.count),
        tastes=_tastes(state, serving, now_ms),
    )


def given_feedback(state: MemberState) -> dict[str, list[FeedbackKind]]:
    """Title id to the feedback on it that holds."""
    given: dict[str, list[FeedbackKind]] = {}
    for mark in state.thumbs:
        given.setdefault(mark.title_id, []).append("thumbs_up" if mark.is_set else "thumbs_down")
    for mark in state.my_list:
        if mark.is_set:
            given.setdefault(mark.title_id, []).append("list_add")
    return given


def _tastes(state: MemberState, serving: Serving, now_ms: int) -> tuple[Taste, ...]:
    marked = {entry.title_id for part in (state.played, state.finished, state.thumbs) for entry in part}
    genres = {title_id: serving.title_genres[serving.index[title_id]] for title_id in marked if title_id in serving.index}
    found = tastes(state, genres, now_ms)
    short_most, long_most = (max(map(abs, term.values()), default=0.0) or 1.0 for term in (found.short, found.long))
    ordered = sorted(found.long, key=lambda genre: (-max(found.short[genre], found.long[genre]), genre))
    kept = ordered if len(ordered) <= TASTES else [*ordered[: TASTES - 1], ordered[-1]]  # the last is the least liked
    return tuple(
        Taste(genre, found.short[genre], found.long[genre], found.short[genre] / short_most, found.long[genre] / long_most)
        for genre in kept
    )


def _ago(at_ms: int, now_ms: int) -> str:
    return f"{age(max(0, now_ms - at_ms))} ago" if at_ms else "never"
