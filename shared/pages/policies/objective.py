"""What a page is worth: the one objective that the scored policies maximise, each as far as it looks ahead. Pure.

    worth(page) = Σ_r  down(r) * gain(row r | the rows above it)

    gain(i | above) =  Σ_g R_ig * (1 - diversity + diversity * open_g)       relevance, less where its genres are covered
                     + chance_i                                             the member came for this very row
                     - repetition * (1 - 2^-(rows of i's kind above))       one more row of the same kind
                     - unrest * (rows overtaken) / (rows to keep)           moved since the member's last page

`R_ig` is what row i offers of genre g: over the cells that it would show, Σ right(cell) * score(title) * share_g(title), where a
title that was released lately counts more. Titles that the rows above took are not shown, so they count once. All `R` are
divided by the greatest relevance Σ_g R_ig of any draft on an empty page, so that 1 is the best row of this request (as
`Windows` estimates it where rows have more than twenty cells).

`open_g = Π (1 - R_jg)` over the rows j above is the chance that no row above gave the member what they wish from genre g: with
`Σ_g R_ig open_g`, the second term of xQuAD (Santos, Macdonald and Ounis, "Exploiting Query Reformulations for Web Search Result
Diversification", 2010, equations 1 and 6) for rows in place of documents and genres in place of aspects. Weighting each stage
by the attention that reaches it gives the intent-aware form of page metrics (Agrawal et al., "Diversifying Search Results",
2009). `down` and `right` are the browse model's (`shared.pages.attention`).

A row overtakes those that were above it on the member's last page and do not stand above it now; a row that was not on that page
counts as having been below it. The count over the page is Kendall's distance between the two orders. `unrest` is
stability / (1 - stability).
"""

from collections.abc import Iterable, Sequence

import numpy as np

from shared.pages.drafts import Draft
from shared.pages.policies.placing import Placing
from shared.pages.policies.view import PageView, Places
from shared.pages.policies.windows import Windows, weights
from shared.pages.serving import Scores

MOST_UNREST = 1e3
"""Outweighs whatever else a row can gain: with a stability of 1 the last page's order stays."""
WORTHLESS = 1e-9
"""Where the best row is worth no more, relevance is not made comparable with the rest."""


class ScoredPlacing(Placing):
    """A page under construction that knows what each draft would add to it.

    `offers @ prices` are the gains. The columns are the genres, the relevance, what is added in any case, and one for each
    kind; `offers` are the drafts' and change as titles are taken, `prices` are the page's and change with each row.

    Attributes
    ----------
    worth : of the rows placed by `follow`.
    """

    def __init__(self, drafts: Sequence[Draft], view: PageView) -> None:
        super().__init__(drafts, view)
        self._total = view.genre_shares.shape[1] - 1  # column of the relevance, after the genres
        self._any = self._total + 1  # column of what is added in any case
        self._right = view.attention.right[: view.row_length]  # (cells,)
        kinds: dict[str, int] = {}
        self._kinds = [kinds.setdefault(draft.kind, self._any + 1 + len(kinds)) for draft in self.drafts]  # column of each draft
        self._no_kind = kinds.get("")
        self._offers = np.zeros((len(self.drafts), self._any + 1 + len(kinds)), dtype=np.float32)  # (drafts, columns)
        self._offers[np.arange(len(self.drafts)), np.array(self._kinds, dtype=np.intp)] = 1.0
        self._chances = np.array([draft.chance or 0.0 for draft in self.drafts], dtype=np.float32)  # (drafts,)
        self._kept = np.empty((len(self.drafts), self._total), dtype=np.float32)  # (drafts, genres)
        self._prices = np.empty(self._offers.shape[1], dtype=np.float32)  # (columns,)
        self._open_prices = self._prices[: self._total]  # (genres,)
        self._overtaken = _overtaken(self.drafts, view.previous, view.settings.stability)  # (drafts, drafts)
        self._reprice()

        self._windows = Windows(self.flat, self.lengths, view)
        relevance = self._windows.relevance(self.is_free)  # (drafts,)
        best = relevance.max(initial=0.0)
        self._unit = best if best > WORTHLESS else np.float32(1.0)
        self._windows.rescale(self._unit)
        self._note(relevance / self._unit)

    def restart(self) -> None:
        """Begin an empty page."""
        super().restart()
        self._reprice()

    def _reprice(self) -> None:
        """The prices of an empty page."""
        diversity = self.view.settings.diversity
        self._prices.fill(0.0)
        self._open_prices.fill(diversity)
        self._prices[self._total] = 1.0 - diversity
        self._prices[self._any] = 1.0
        self._offers[:, self._any] = self._chances
        self._unlike = [1.0] * len(self._prices)
        self._unrest = None if self._overtaken is None else self._overtaken.sum(axis=0)  # (drafts,)
        self.worth = 0.0

    def refresh(self) -> None:
        """Look at the titles that are free now in what all drafts offer."""
        self._note(self._windows.relevance(self.is_free))

    def _note(self, relevance: Scores) -> None:
        offers = self._offers[:, : self._any]  # (drafts, genres + 1)
        np.multiply(relevance[:, None], self._windows.mix, out=offers)
        np.subtract(1.0, offers[:, :-1], out=self._kept)
        np.maximum(self._kept, 0.0, out=self._kept)

    def gains(self) -> Scores:
        """What each draft would add if it came next, by the titles that were free at the last `refresh`, (drafts,).

        Minus infinity for drafts that are placed or left out.
        """
        gains: Scores = self._offers.dot(self._prices)  # (drafts,)
        return gains if self._unrest is None else gains - self._unrest

    def gain(self, index: int, places: Places) -> float:
        """What a draft adds if it comes next with these places, exactly."""
        relevance = self._relevance(index, places) / self._unit  # (genres + 1,)
        offer = self._offers[index]  # (columns,)
        offer[: self._any] = relevance
        np.maximum(1.0 - relevance[:-1], 0.0, out=self._kept[index])
        gain = float(offer.dot(self._prices))
        return gain if self._unrest is None else gain - float(self._unrest[index])

    def _relevance(self, index: int, places: Places) -> Scores:
        """What a draft with these places is worth by genre and, last, in all, in the units of the scores: (genres + 1,)."""
        titles = self.titles[index].take(places)  # (cells,)
        worth = weights(titles, self.view) * self._right[: len(places)]  # (cells,)
        if self.drafts[index].owns:
            worth *= self.is_free.take(titles)
        found: Scores = worth.dot(self.view.genre_shares.take(titles, axis=0))
        return found

    def put(self, index: int, places: Places | None) -> None:
        """Place a draft with what `places` found, or leave it out for good where that was None; reprice what is left."""
        super().put(index, places)
        self._offers[index, self._any] = -np.inf
        if places is None:
            return
        self._open_prices *= self._kept[index]
        kind = self._kinds[index]
        if kind != self._no_kind:
            self._unlike[kind] *= 0.5
            self._prices[kind] = self.view.settings.repetition * (self._unlike[kind] - 1.0)
        if self._unrest is not None and self._overtaken is not None:
            self._unrest -= self._overtaken[index]

    def follow(self, order: Iterable[int]) -> None:
        """Place drafts in an order, adding up exactly what the page is worth."""
        down = self.view.attention.down.tolist()
        for index in self.following(order):
            places = self.places(index)
            if places is not None:
                self.worth += down[len(self.rows)] * self.gain(index, places)
            self.put(index, places)


def _overtaken(drafts: Sequence[Draft], previous: Sequence[str], stability: float) -> Scores | None:
    """What each draft costs by being placed above those that were above it on the last page.

    Returns
    -------
    overtaken : (drafts, drafts) float32; [j, i] is the price where j was above i, else 0. None where nothing is to be kept.
    """
    if not previous or not stability:
        return None
    rank = {key: place for place, key in enumerate(previous)}
    before = np.array([rank.get(draft.key, len(previous)) for draft in drafts], dtype=np.intp)  # (drafts,)
    kept = int((before < len(previous)).sum())
    if not kept:
        return None
    unrest = min(stability / max(1.0 - stability, 1e-9), MOST_UNREST)
    return np.where(before[:, None] < before[None, :], np.float32(unrest / kept), np.float32(0.0))  # (drafts, drafts)
