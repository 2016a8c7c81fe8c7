"""Page-wise search: the stage-wise page, improved by local search over the order of its rows. Pure."""

from collections.abc import Sequence

import numpy as np

from shared.pages.drafts import Draft
from shared.pages.policies.alone import alone_order
from shared.pages.policies.objective import ScoredPlacing
from shared.pages.policies.placing import placed_once
from shared.pages.policies.stagewise import greedy
from shared.pages.policies.view import PageView, Placed


class Search:
    """Hill climbing on `shared.pages.policies.objective`, from the better of the stage-wise page and the rows scored alone.

    A step moves a row up or down, or exchanges it for another one, which may be one that was not on the page; it is kept when the
    page as a whole is worth more. `evaluations` pages are looked at: a budget in pages and not in time, since the same request
    must give the same page.
    """

    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        """The page from top to bottom."""
        return placed_once(_searched, drafts, view)


def _searched(drafts: Sequence[Draft], view: PageView) -> ScoredPlacing:
    placing = ScoredPlacing(drafts, view)
    alone = alone_order(placing)
    stages = _completed([placing.index(row.draft.key) for row in greedy(drafts, view).rows], alone)
    budget = view.settings.evaluations
    starts = [stages, alone][:budget]
    worth, order = max(((_worth(placing, start), start) for start in starts), key=lambda found: found[0])
    reach = min(view.rows_limit, len(order))
    if len(order) > 1:
        rng = np.random.default_rng(view.seed)
        for _ in range(budget - len(starts)):
            changed = _changed(order, reach, rng)
            found = _worth(placing, changed)
            if found > worth:
                worth, order = found, changed
    _worth(placing, order)
    return placing


def _worth(placing: ScoredPlacing, order: Sequence[int]) -> float:
    placing.restart()
    placing.follow(order)
    return placing.worth


def _completed(order: list[int], others: Sequence[int]) -> list[int]:
    """An order of some drafts, followed by the others."""
    return order + [index for index in others if index not in set(order)]


def _changed(order: Sequence[int], reach: int, rng: np.random.Generator) -> list[int]:
    """An order with one draft moved, or two exchanged, at least one of them among the first `reach`."""
    changed = list(order)
    one, other = int(rng.integers(reach)), int(rng.integers(len(order) - 1))
    other += other >= one
    if rng.integers(2):
        changed[one], changed[other] = changed[other], changed[one]
    else:
        changed.insert(one, changed.pop(other))
    return changed
