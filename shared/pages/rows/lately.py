"""Rows of what is watched and released at the moment."""

from collections.abc import Iterable

import numpy as np

from shared import countries
from shared.pages.arrivals import Arrivals
from shared.pages.drafts import Draft, RowContext
from shared.pages.serving import Indices, Scores, Serving
from shared.trending import Trending

POOL = 160
"""Titles of each row, before others take some."""
RELEASE_AGE_MS = 180 * 24 * 3600 * 1000

_HEAT: Scores = np.arange(1, POOL + 1, dtype=np.float32) ** np.float32(-0.5)
_ALIKE: Scores = np.ones(POOL, dtype=np.float32)


class TrendingNow:
    """What is watched most at the moment, with what suits the member a little further to the left.

    What is trending where the member is, at this part of the day, comes before what was trending when the snapshot was made.
    """

    def draft(self, context: RowContext) -> Iterable[Draft]:
        trending, live = context.serving.trending[:POOL], context.trending
        evidence: str | list[str] = "trending now"
        if live is None:
            titles = context.by_appeal(trending, _HEAT[: len(trending)])
        else:
            here = _known_titles(live, context.serving)
            is_here = np.zeros(context.serving.count, dtype=np.bool_)
            is_here[here] = True
            trending = np.concatenate([here, trending[~is_here[trending]]])[:POOL]  # (n,)
            titles = context.by_appeal(trending, _HEAT[: len(trending)])
            where = _where_trending(live)
            evidence = [where if is_live else "trending now" for is_live in is_here[titles].tolist()]
        if len(titles):
            yield Draft(key="trending", name="Trending Now", titles=titles, evidence=evidence, kind="trending")


class PopularInCountry:
    """What the member's country watches, with what suits the member a little further to the left."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        country = context.request.country
        if country not in context.serving.countries or not context.is_personal:
            return  # for a member nobody knows, the first row is this one
        popular = context.serving.popular_order(country)[:POOL]
        titles = context.by_appeal(popular, _HEAT[: len(popular)])
        if len(titles):
            name = countries.name(country)
            yield Draft(key="popular", name=f"Popular in {name}", titles=titles, evidence=f"popular in {name}", kind="popular")


class NewReleases:
    """Titles released lately, in the member's order."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        now_ms = context.request.now_ms
        released = Arrivals.of(context.serving).between(now_ms - RELEASE_AGE_MS, now_ms)[:POOL]
        titles = context.by_appeal(released, _ALIKE[: len(released)])
        if len(titles):
            yield Draft(key="new-releases", name="New Releases", titles=titles, evidence="released lately", kind="new-releases")


def _known_titles(trending: Trending, serving: Serving) -> Indices:
    """Titles of the live list that the snapshot knows, the most trending first, (n,) int32."""
    index = serving.index
    return np.array([index[title.title_id] for title in trending.titles[:POOL] if title.title_id in index], dtype=np.int32)


def _where_trending(trending: Trending) -> str:
    when = "tonight" if trending.part == "night" else f"this {trending.part}"
    return f"trending {when}" if trending.country is None else f"trending in {trending.country} {when}"
