"""The fixed template: rows in the order in which they were drafted. Pure."""

from collections.abc import Sequence

from shared.pages.drafts import Draft
from shared.pages.policies.placing import Placing, placed_once
from shared.pages.policies.view import PageView, Placed


class Template:
    """Places the drafts in the order of the row builders, whatever they are worth to the member."""

    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        """The page from top to bottom."""
        return placed_once(_filled, drafts, view)


def _filled(drafts: Sequence[Draft], view: PageView) -> Placing:
    placing = Placing(drafts, view)
    for index in placing.following(range(len(placing.drafts))):
        placing.put(index, placing.places(index))
    return placing
