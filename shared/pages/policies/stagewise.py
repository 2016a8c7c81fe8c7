"""The stage-wise page: each next row is the one that adds most to the rows already placed. Pure."""

from collections.abc import Sequence

from shared.pages.drafts import Draft
from shared.pages.policies.objective import ScoredPlacing
from shared.pages.policies.placing import placed_once
from shared.pages.policies.view import PageView, Placed

REFRESHED_AT = frozenset((1, 4))
"""Rows placed at which it is looked at anew which titles are still free in all drafts. What the rows above did to genres, kinds
and the last page's order counts at once; which titles they took changes less the more rows there are."""


class StageWise:
    """Greedy on `shared.pages.policies.objective`."""

    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        """The page from top to bottom."""
        return placed_once(greedy, drafts, view)


def greedy(drafts: Sequence[Draft], view: PageView) -> ScoredPlacing:
    """The stage-wise page."""
    placing = ScoredPlacing(drafts, view)
    for _ in placing.drafts:
        if placing.is_full:
            break
        due = placing.due()
        index = int(placing.gains().argmax()) if due is None else due
        places = placing.places(index)
        placing.put(index, places)
        if places is not None and len(placing.rows) in REFRESHED_AT:
            placing.refresh()
    return placing
