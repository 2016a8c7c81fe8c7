"""Rows of what suits this member: the best of everything, and what is like one title."""

from collections.abc import Iterable

from shared import countries
from shared.pages.drafts import Draft, RowContext
from shared.pages.neighbourhoods import Neighbourhoods


class TopPicks:
    """The best of everything for this member; for a member nobody knows, what is popular, under that name."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        titles, country = context.ranking.order, context.request.country
        if context.is_personal:
            yield Draft(key="top-picks", name="Top Picks for You", titles=titles, least=1, kind="picks")
        elif country in context.serving.countries:
            yield Draft(key="popular", name=f"Popular in {countries.name(country)}", titles=titles, least=1, kind="popular")
        else:
            yield Draft(key="popular", name="Popular Now", titles=titles, least=1, kind="popular")


class BecauseYouWatched:
    """Titles like one that the member watched for the most part: a row for the latest such title, and for those before."""

    def __init__(self, first: int = 0, count: int | None = None) -> None:
        """Take `count` such titles (None: all that are known) after the `first` ones."""
        self._first = first
        self._last = None if count is None else first + count

    def draft(self, context: RowContext) -> Iterable[Draft]:
        serving, showable = context.serving, context.showable
        for title in context.seed_titles[self._first : self._last]:
            if not showable[title]:
                continue
            near, nearness = Neighbourhoods.of(serving).around(title)  # (n,) each
            yield Draft(
                key=f"because:{serving.ids[title]}",
                name=f"Because You Watched {serving.names[title]}",
                # Mostly by nearness to the title that the row is named after, and among near ones by the member's taste.
                titles=context.by_appeal(near, nearness),
                evidence=f"because you watched {serving.names[title]}",
                kind="because",
            )
