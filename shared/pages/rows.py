"""The rows that a page can have: each builder drafts its own, with more titles than fit, and knows nothing of the others.

A team adds a row by writing a class with one method and passing it to `Recommender(config, rows=…)`. Titles that an earlier
row took are left out when the page is put together (`shared.pages.assembly`). Pure.
"""

from collections.abc import Iterable

import numpy as np

from shared.pages.drafts import Draft, RowBuilder, RowContext
from shared.pages.serving import Indices, Serving
from shared.state import MemberState, Played
from shared.trending import Trending

TRENDING_POOL = 200
TRENDING_TASTE = 0.5
"""How much of a trending title's place may come from the member's taste."""
RELEASE_AGE_MS = 180 * 24 * 3600 * 1000
GENRE_POOL = 200
"""Best titles that vote for the order of the genre rows."""


def titles_to_continue(serving: Serving, state: MemberState, country: str | None, limit: int) -> list[tuple[int, Played]]:
    """Titles in progress that may be shown, the last watched first, at most `limit`: (title index, last play)."""
    disliked = state.disliked_titles
    available = serving.available(country)
    found: list[tuple[int, Played]] = []
    for played in reversed(state.played):
        if len(found) == limit:
            break
        title = serving.index.get(played.title_id)
        if played.is_in_progress and title is not None and available[title] and played.title_id not in disliked:
            found.append((title, played))
    return found


class ContinueWatching:
    """What the member began and did not finish, the last watched first."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        found = titles_to_continue(context.serving, context.state, context.request.country, context.row_length)
        if found:
            yield Draft(
                key="continue-watching",
                name="Continue Watching",
                titles=np.array([title for title, _ in found], dtype=np.int32),
                evidence=[f"continue at {clock(played.position_ms)}" for _, played in found],
                progress=[played.share for _, played in found],
                least=1,
            )


class TopPicks:
    """The best of everything for this member; for a member nobody knows, what is popular, under that name."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        if context.blend.is_personal:
            yield Draft(key="top-picks", name="Top Picks for You", titles=context.ranking.order, least=1)
        else:
            _, is_of_country = context.serving.popularity(context.request.country)
            name = f"Popular in {context.request.country}" if is_of_country else "Popular Now"
            yield Draft(key="popular", name=name, titles=context.ranking.order, least=1)


class BecauseYouWatched:
    """Titles similar to one that the member watched for the most part: the latest such title, or the one before, …"""

    def __init__(self, place: int = 0) -> None:
        self._place = place

    def draft(self, context: RowContext) -> Iterable[Draft]:
        serving = context.serving
        seeds = [serving.index[seed.title_id] for seed in context.seeds if seed.title_id in serving.index]
        if self._place >= len(seeds):
            return
        seed = seeds[self._place]
        is_there = serving.similar_titles[seed] < serving.count
        near = serving.similar_titles[seed][is_there]  # (n,)
        # Mostly by nearness to the title that the row is named after, and among near ones by the member's taste.
        worth = serving.similar_scores[seed][is_there] * (1.0 + context.ranking.scores[near])  # (n,)
        order = near[np.argsort(-worth, kind="stable")]
        yield Draft(
            key=f"because:{serving.ids[seed]}",
            name=f"Because You Watched {serving.names[seed]}",
            titles=order[context.blend.is_open[order]],
            evidence=f"because you watched {serving.names[seed]}",
        )


class TrendingNow:
    """What is watched most at the moment, with what suits the member a little further to the left.

    What is trending where the member is, at this part of the day, comes before what was trending when the snapshot was made.
    """

    def draft(self, context: RowContext) -> Iterable[Draft]:
        serving = context.serving
        live = _trending_live(context)
        is_listed = np.zeros(serving.count, dtype=np.bool_)
        is_listed[live] = True
        known = serving.trending[~is_listed[serving.trending]]
        trending = np.concatenate([live, known])  # (titles,)
        is_live = np.arange(len(trending)) < len(live)
        is_open = context.blend.is_open[trending]
        trending, is_live = trending[is_open][:TRENDING_POOL], is_live[is_open][:TRENDING_POOL]
        if not len(trending):
            return
        scores = context.ranking.scores[trending]
        taste = scores / max(float(scores.max()), 1e-9)
        heat = 1.0 / np.sqrt(np.arange(1, len(trending) + 1))
        order = np.argsort(-(heat * (1.0 + TRENDING_TASTE * taste)), kind="stable")
        why = "trending now" if context.trending is None else _where_trending(context.trending)
        yield Draft(
            key="trending",
            name="Trending Now",
            titles=trending[order],
            evidence=[why if live else "trending now" for live in is_live[order].tolist()],
        )


def _trending_live(context: RowContext) -> Indices:
    """Titles of the live list that the snapshot knows, the most trending first."""
    index = context.serving.index
    listed = () if context.trending is None else context.trending.titles
    return np.array([index[title.title_id] for title in listed if title.title_id in index], dtype=np.int32)


def _where_trending(trending: Trending) -> str:
    when = "tonight" if trending.part == "night" else f"this {trending.part}"
    return f"trending {when}" if trending.country is None else f"trending in {trending.country} {when}"


class NewReleases:
    """Titles released lately, in the member's order."""

    def draft(self, context: RowContext) -> Iterable[Draft]:
        released_ms, now_ms = context.serving.released_ms, context.request.now_ms
        is_new = (released_ms > now_ms - RELEASE_AGE_MS) & (released_ms <= now_ms)
        if is_new.any():
            yield Draft(key="new-releases", name="New Releases", titles=context.ranking.among(is_new), evidence="released lately")


class GenreRows:
    """One row a genre, the member's favourite genres first, each in the member's order."""

    def __init__(self, first: int = 0, count: int | None = None) -> None:
        """Take `count` genres (None: all that the page has room for) after the `first` ones."""
        self._first = first
        self._count = count

    def draft(self, context: RowContext) -> Iterable[Draft]:
        serving = context.serving
        top = context.ranking.order[:GENRE_POOL]
        if not len(top):
            return
        votes = context.ranking.scores[top] / np.sqrt(np.arange(1, len(top) + 1))  # (pool,)
        # A genre that half of the catalogue has gathers votes without being liked.
        liking = (serving.genre_titles[:, top] @ votes) / np.sqrt(serving.genre_sizes)  # (genres,)
        last = self._first + (context.rows_limit if self._count is None else self._count)
        for genre in np.argsort(-liking, kind="stable")[self._first : last]:
            name = serving.genres[genre]
            yield Draft(key=f"genre:{name}", name=name, titles=context.ranking.among(serving.genre_titles[genre]))


DEFAULT_ROWS: tuple[RowBuilder, ...] = (
    ContinueWatching(),
    TopPicks(),
    BecauseYouWatched(place=0),
    TrendingNow(),
    GenreRows(first=0, count=2),
    BecauseYouWatched(place=1),
    NewReleases(),
    GenreRows(first=2),
)
"""The page's template from top to bottom."""


def clock(position_ms: int) -> str:
    """A position as people say it: `43 min`, `1 h 05 min`."""
    minutes = position_ms // 60_000
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
