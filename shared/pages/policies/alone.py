"""Rows scored alone: each by what it would add to an empty page, sorted once. Pure."""

from collections.abc import Sequence

import numpy as np

from shared.pages.drafts import Draft
from shared.pages.policies.objective import ScoredPlacing
from shared.pages.policies.placing import placed_once
from shared.pages.policies.view import PageView, Placed


class Alone:
    """Knows nothing of what the rows above already show, cover or repeat, but that no title is shown twice."""

    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        """The page from top to bottom."""
        return placed_once(_placed, drafts, view)


def _placed(drafts: Sequence[Draft], view: PageView) -> ScoredPlacing:
    placing = ScoredPlacing(drafts, view)
    for index in placing.following(alone_order(placing)):
        placing.put(index, placing.places(index))
    return placing


def alone_order(placing: ScoredPlacing) -> list[int]:
    """The drafts of an empty page by what each would add to it, the best first; equal ones as they were drafted."""
    return list(map(int, np.argsort(-placing.gains(), kind="stable")))
