"""Titles that a member began and did not finish. Pure."""

from shared.pages.serving import Mask, Serving
from shared.state import FINISHED_PERCENT, STARTED_PERCENT, MemberState, Played

BEGUN = 24
"""Titles in progress that a page looks at; nobody goes on with what they left so many titles ago."""


def titles_to_continue(serving: Serving, state: MemberState, showable: Mask, limit: int) -> list[tuple[int, Played]]:
    """Titles in progress, the last watched first, at most `limit`: (title index, last play).

    Parameters
    ----------
    showable : (titles,) bool, those that may be shown.
    """
    index, disliked = serving.index, state.disliked_titles
    found: list[tuple[int, Played]] = []
    for played in reversed(state.played):
        _, _, title_id, _, _, position_ms, runtime_ms = played
        # What `Played.is_in_progress` tells, without two calls for each of a hundred titles.
        if STARTED_PERCENT * runtime_ms <= 100 * position_ms < FINISHED_PERCENT * runtime_ms:
            title = index.get(title_id)
            if title is not None and showable[title] and title_id not in disliked:
                found.append((title, played))
                if len(found) == limit:
                    break
    return found
