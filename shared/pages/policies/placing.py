"""A page under construction: which rows it has, which titles are still free, and what every policy has to keep. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np

from shared.pages.drafts import Draft
from shared.pages.policies.view import PageView, Placed, Places


class Placing:
    """Places drafts one after the other, each with the titles that no row above has taken.

    Attributes
    ----------
    drafts : those that may be placed; the methods take their indices.
    flat : (all titles,) intp, the titles of all drafts one after the other.
    lengths, titles : how many titles each draft has, and which, each (n,) intp.
    is_free : (titles,) bool, titles that no row has taken.
    rows : the page so far.
    """

    def __init__(self, drafts: Sequence[Draft], view: PageView) -> None:
        self.view = view
        self.drafts = _distinct(drafts, view.shown_rows)
        self.flat = (
            np.concatenate([draft.titles for draft in self.drafts]).astype(np.intp) if self.drafts else np.empty(0, dtype=np.intp)
        )  # (all titles of all drafts,)
        self.lengths = [len(draft.titles) for draft in self.drafts]
        stops = list(accumulate(self.lengths, initial=0))
        self.titles = [self.flat[start:stop] for start, stop in pairwise(stops)]
        Placing.restart(self)  # not what a subclass makes of it, which is not built yet

    def restart(self) -> None:
        """Begin an empty page."""
        taken = self.view.taken
        self.is_free = np.ones(len(self.view.scores), dtype=np.bool_) if taken is None else ~taken  # (titles,)
        self.rows: list[Placed] = []
        self._shown = 0
        self._free_at_first = int(np.count_nonzero(self.is_free))
        pinned = self.view.settings.pinned
        self._pins = (
            sorted((pinned[draft.key], index) for index, draft in enumerate(self.drafts) if draft.key in pinned) if pinned else []
        )

    @property
    def is_full(self) -> bool:
        """Whether the page has all the rows that it may have."""
        return len(self.rows) >= self.view.rows_limit

    @property
    def has_repeats(self) -> bool:
        """Whether a row shows a title twice because its draft names it twice."""
        return self._shown != self._free_at_first - int(np.count_nonzero(self.is_free))

    def index(self, key: str) -> int:
        """Where the draft of a key is."""
        return next(index for index, draft in enumerate(self.drafts) if draft.key == key)

    def due(self) -> int | None:
        """The pinned draft that must be placed now if it and those pinned after it are to be where they belong."""
        if self._pins:
            at = len(self.rows) + len(self.view.shown_rows)
            for later, (limit, _) in enumerate(self._pins):
                if at + later >= limit - 1:
                    return self._pins[0][1]
        return None

    def places(self, index: int) -> Places | None:
        """What a draft would show if it came next, (cells,) places in its titles; None when it has too few left."""
        draft = self.drafts[index]
        if draft.owns:
            found = _first_places(self.titles[index])
        else:
            found = self.is_free.take(self.titles[index]).nonzero()[0]
        count, limit = len(found), self.view.row_length
        return None if not count or (count < draft.least and count < limit) else found[:limit]

    def put(self, index: int, places: Places | None) -> None:
        """Place a draft with what `places` found, or leave it out for good where that was None."""
        if self._pins:
            self._pins = [pin for pin in self._pins if pin[1] != index]
        if places is None:
            return
        draft = self.drafts[index]
        self.rows.append(Placed(draft, places))
        if not draft.owns:
            self._shown += len(places)
            self.is_free[self.titles[index].take(places)] = False

    def following(self, order: Iterable[int]) -> Iterator[int]:
        """Drafts in an order until the page is full; pinned ones are pulled up to where they must be."""
        waiting = list(order)
        while waiting and not self.is_full:
            due = self.due()
            yield waiting.pop(0 if due is None else waiting.index(due))


def placed_once(make: Callable[[Sequence[Draft], PageView], Placing], drafts: Sequence[Draft], view: PageView) -> list[Placed]:
    """The page that `make` builds, made again from cleaned drafts where some draft names a title twice.

    Builders hardly ever repeat a title in a draft, and looking at the finished page for it costs next to nothing.
    """
    placing = make(drafts, view)
    if not placing.has_repeats:
        return placing.rows
    first = {draft.key: (draft, _first_places(draft.titles)) for draft in reversed(drafts)}
    clean = [replace(draft, titles=draft.titles[_first_places(draft.titles)]) for draft in drafts]
    return [Placed(first[draft.key][0], first[draft.key][1][places]) for draft, places in make(clean, view).rows]


def _distinct(drafts: Sequence[Draft], shown_rows: frozenset[str]) -> list[Draft]:
    """Of drafts with the same key the first, without those further up the page."""
    by_key = {draft.key: draft for draft in reversed(drafts)}
    if len(by_key) == len(drafts) and shown_rows.isdisjoint(by_key):
        return list(drafts)
    return [draft for draft in drafts if draft is by_key[draft.key] and draft.key not in shown_rows]


def _first_places(titles: np.ndarray[tuple[int], np.dtype[np.integer]]) -> Places:
    """Places at which a title comes for the first time, (n,) ascending."""
    _, first = np.unique(titles, return_index=True)
    return np.sort(first)
