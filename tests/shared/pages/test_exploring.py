"""Exploration on whole pages: what is logged is what happens, and nothing is shown twice."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from online.requesting import checked_request
from shared import state
from shared.config import DeviceFormat, ExplorationKind, ExplorationSettings, PageConfig
from shared.pages.blending import blend
from shared.pages.drafts import RowContext, draft_rows
from shared.pages.exploring import draw
from shared.pages.facts import Candidates, Facts
from shared.pages.policies import POLICIES, Placed
from shared.pages.ranking import in_order
from shared.pages.rows import DEFAULT_ROWS
from shared.pages.serving import Serving
from shared.pages.viewing import view_of
from shared.trending import Trending, TrendingTitle
from tests.online.plays import play
from tests.online.snapshot_builder import NOW_MS, build_snapshot

DRAWS = 4000


@cache
def page() -> tuple[list[Placed], RowContext]:
    built = build_snapshot(120, members=1, candidates=60, similar=10)
    serving = Serving(built.loaded())
    request = checked_request("m0", "tv", "US", NOW_MS)
    member_state = state.fold(state.EMPTY, [play("t5", 0.95), play("t9", 0.4)])
    pool = blend(serving, Facts(state=member_state, candidates=Candidates(*built.candidates["m0"])), request)
    titles = tuple(TrendingTitle(f"t{n}", 2.0, 0.05 + 0.001 * n, 0.02, 0.03, 90.0, 9.0, 9.0) for n in range(40))
    live = Trending(made_at_ms=NOW_MS, country="US", part="evening", titles=titles)
    context = RowContext(request, serving, member_state, pool, in_order(pool, pool.scores), 6, 8, trending=live)
    drafts, failed = draft_rows(DEFAULT_ROWS, context)
    assert not failed
    placed = POLICIES["template"].place(drafts, view_of(context, DeviceFormat(rows=6, row_length=8), PageConfig()))
    assert "top-picks" in [row.draft.key for row in placed]
    return placed, context


def settings(kind: ExplorationKind) -> ExplorationSettings:
    return ExplorationSettings(kind=kind, epsilon=0.3, temperature=1.0, first_slot=2, slots=2, pool=12)


@pytest.mark.parametrize("kind", ["epsilon", "softmax", "thompson"])
def test_logged_chances_are_the_frequencies(kind: ExplorationKind) -> None:
    placed, context = page()
    seen: Counter[tuple[int, ...]] = Counter()
    chance: dict[tuple[int, ...], float] = {}
    for number in range(DRAWS):
        drawn = draw(settings(kind), placed, context, f"page-{number}")
        row = next(row for row in drawn.placed if row.draft.key == "top-picks")
        slate = tuple(row.draft.titles[row.places].tolist())
        seen[slate] += 1
        chance[slate] = float(np.prod(drawn.propensities["top-picks"], dtype=np.float64))
        shown = np.concatenate([row.draft.titles[row.places] for row in drawn.placed if not row.draft.owns])
        assert len(set(shown.tolist())) == len(shown)
    assert len(seen) > 5
    for slate, count in seen.most_common(8):
        deviation = np.sqrt(DRAWS * chance[slate] * (1 - chance[slate]))
        assert abs(count - DRAWS * chance[slate]) < 4.5 * deviation + 1, (slate, count, chance[slate])


def test_rows_that_do_not_explore_stay_as_they_were_placed() -> None:
    placed, context = page()
    assert draw(ExplorationSettings(kind="none"), placed, context, "p").placed is placed
    drawn = draw(settings("softmax"), placed, context, "p")
    for before, after in zip(placed, drawn.placed, strict=True):
        if before.draft.key != "top-picks":
            assert after is before
    again = draw(settings("softmax"), placed, context, "p")
    assert all(np.array_equal(a.places, b.places) for a, b in zip(drawn.placed, again.placed, strict=True))
