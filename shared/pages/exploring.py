"""Exploration on a page that was placed: some cells of some rows are drawn, and every cell gets its propensity. Pure.

A policy places rows as if nothing were explored. Then each row that explores chooses anew among its own titles that no other row
of the page shows, from top to bottom; the rest of the page stays. So given the rows above, the chance of each cell is that of its
row's draw alone (`shared.pages.exploration`), and no title is shown twice.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.config import ExplorationSettings
from shared.pages.drafts import Draft, RowContext
from shared.pages.exploration import Options, explore, explores, random_numbers
from shared.pages.policies.view import Placed, Places
from shared.pages.posteriors import Posteriors
from shared.pages.serving import Indices, Scores, Serving
from shared.trending import Trending, TrendingTitle

KEPT = 512
"""Lists of trending titles whose arms a snapshot keeps: a few countries by the parts of the day, and the last few of each."""


class Drawn(NamedTuple):
    """A page with its propensities: `propensities` has (cells,) of each row that explores; all other cells have 1."""

    placed: list[Placed]
    propensities: dict[str, Scores]


class Arms(NamedTuple):
    """What is believed of trending titles: `titles` (arms,) are their indices."""

    titles: Indices
    posteriors: Posteriors


def draw(settings: ExplorationSettings, placed: list[Placed], context: RowContext, page_id: str) -> Drawn:
    """Let the rows that are configured to explore do so; a row that shows what the member began or keeps never does.

    Parameters
    ----------
    page_id : the same draws for the same page.
    """
    at = [
        number
        for number, row in enumerate(placed)
        if explores(settings, row.draft.key) and not row.draft.owns and row.draft.progress is None
    ]
    if not at:
        return Drawn(placed, {})
    random = random_numbers(page_id)
    arms = _arms(context) if settings.kind == "thompson" else None
    drawn, propensities = list(placed), {}
    for number in at:
        draft = placed[number].draft
        choice = _choice(drawn, number, settings, context.serving.count)
        explored = explore(settings, _options(draft, choice, context, arms), len(placed[number].places), random)
        drawn[number] = Placed(draft, choice[explored.places])
        propensities[draft.key] = explored.propensities
    return Drawn(drawn, propensities)


def _choice(page: Sequence[Placed], number: int, settings: ExplorationSettings, count: int) -> Places:
    """Places in one row's draft of titles that no other row shows, each title once; those that it was placed with come first.

    As many as can be drawn: the pool, and what the row shows; for Thompson sampling, all with an arm are.
    """
    draft, shown = page[number]
    is_free = np.ones(count, dtype=np.bool_)
    is_free[np.concatenate([row.draft.titles.take(row.places) for row in page if not row.draft.owns])] = False
    rest = is_free[draft.titles].nonzero()[0]
    titles = draft.titles[rest]
    first = np.zeros(count, dtype=np.intp)
    first[titles[::-1]] = np.arange(len(titles) - 1, -1, -1)  # of a repeated title the first place is written last
    rest = rest[first[titles] == np.arange(len(titles))]
    return np.concatenate([shown, rest if settings.kind == "thompson" else rest[: settings.pool + settings.slots]])


def _options(draft: Draft, choice: Places, context: RowContext, arms: Arms | None) -> Options:
    titles = draft.titles[choice]
    scores = context.ranking.scores[titles]
    if arms is None:
        return Options(scores)
    arm_of = np.full(context.serving.count, -1, dtype=np.int32)
    arm_of[arms.titles] = np.arange(len(arms.titles), dtype=np.int32)
    return Options(scores, posteriors=arms.posteriors, arms=arm_of[titles])


def _arms(context: RowContext) -> Arms | None:
    """The arms of what is trending where the member is; None where nothing is known."""
    if context.trending is None or not context.trending.titles:
        return None
    known = context.serving.once(_known_arms)
    key = context.trending.country, context.trending.part, context.trending.made_at_ms
    if key not in known:
        if len(known) >= KEPT:
            known.clear()
        known[key] = _arms_of(context.trending, context.serving)
    return known.get(key)


def _known_arms(serving: Serving) -> dict[tuple[str | None, str, int], Arms | None]:
    return {}


def _arms_of(trending: Trending, serving: Serving) -> Arms | None:
    index = serving.index
    listed = [title for title in trending.titles if title.title_id in index and _is_beta(title)]
    titles = np.array([index[title.title_id] for title in listed], dtype=np.int32)
    rates, deviations = [title.rate for title in listed], [title.deviation for title in listed]
    if not listed:
        return None
    return Arms(titles, Posteriors.beta_of_rates(rates, deviations))


def _is_beta(title: TrendingTitle) -> bool:
    """Whether there is a beta distribution of its mean and deviation."""
    return 0.0 < title.rate < 1.0 and 0.0 < title.deviation**2 < title.rate * (1.0 - title.rate)
