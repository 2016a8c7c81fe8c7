"""The pure stages, on any state that events can make: what must never be shown is not, and there is always a page."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online.requesting import checked_request
from shared import histories, state
from shared.errors import SnapshotError
from shared.events import Feedback, Play
from shared.pages.answers import Row
from shared.pages.assembly import page_tier
from shared.pages.blending import blend, find_seeds
from shared.pages.drafts import Draft, RowContext, draft_rows
from shared.pages.facts import Candidates, Facts
from shared.pages.ranking import in_order
from shared.pages.rows import DEFAULT_ROWS
from shared.pages.serving import Serving
from shared.state import MemberState
from tests.online.assembling import assembled
from tests.online.plays import play, thumb
from tests.online.snapshot_builder import CREATED_AT_MS, NOW_MS, BuiltSnapshot, build_snapshot

TITLES = 60


@cache
def built() -> BuiltSnapshot:
    return build_snapshot(TITLES, members=3, candidates=25, similar=8)


@cache
def serving() -> Serving:
    return Serving(built().loaded())


def rows_for(
    member_state: MemberState = state.EMPTY,
    candidates: Candidates | None = None,
    country: str | None = "US",
    on: Serving | None = None,
    rows_limit: int = 12,
    row_length: int = 8,
) -> tuple[Row, ...]:
    on = on or serving()
    request = checked_request("m0", "tv", country, NOW_MS)
    blended = blend(on, Facts(state=member_state, candidates=candidates), request)
    seeds = histories.seeds(member_state)
    context = RowContext(
        request, on, member_state, blended, in_order(blended, blended.scores), rows_limit, row_length, seeds=seeds
    )
    drafts, failed = draft_rows(DEFAULT_ROWS, context)
    assert failed == ()
    return assembled(drafts, context)


def candidates_of(member: str) -> Candidates:
    return Candidates(*built().candidates[member])


title_ids = st.integers(0, TITLES + 3).map(lambda number: f"t{number}")  # the last ones are in no snapshot
moments = st.integers(NOW_MS - 10**8, NOW_MS)
plays = st.builds(lambda title, share, at: play(title, share, at_ms=at), title_ids, st.floats(0, 1), moments)
thumbs = st.builds(lambda title, up, at: thumb(title, up, at_ms=at), title_ids, st.booleans(), moments)
events = st.lists(st.one_of(plays, thumbs), max_size=60)


@settings(max_examples=150, deadline=None)
@given(events, st.sampled_from([None, "US", "DE", "FR"]), st.booleans(), st.integers(1, 12), st.integers(1, 20))
def test_nothing_is_shown_that_must_not_be(
    history: list[Play | Feedback], country: str | None, has_candidates: bool, rows_limit: int, row_length: int
) -> None:
    member_state = state.fold(state.EMPTY, history)
    rows = rows_for(member_state, candidates_of("m0") if has_candidates else None, country, None, rows_limit, row_length)
    cells = [cell for row in rows for cell in row.cells]
    shown = [cell.title_id for cell in cells]
    in_progress = {played.title_id for played in member_state.in_progress()}

    assert len(shown) == len(set(shown))
    assert not set(shown) & member_state.disliked_titles
    assert all(
        cell.row == "continue-watching" and cell.title_id in in_progress  # watched once, and begun anew
        for cell in cells
        if cell.title_id in member_state.finished_titles
    )
    for title in built().titles:
        if title.countries and country is not None and country not in title.countries:
            assert title.title_id not in shown
    assert rows and len(rows) <= rows_limit
    for index, row in enumerate(rows):
        assert 1 <= len(row.cells) <= row_length
        assert [(cell.row, cell.row_index, cell.rank) for cell in row.cells] == [
            (row.key, index, rank) for rank in range(len(row.cells))
        ]
    assert all(cell.evidence and cell.name and np.isfinite(cell.score) for cell in cells)


def test_unknown_member_gets_what_is_popular_in_the_country() -> None:
    rows = rows_for(country="US", row_length=20)
    assert rows[0].name == "Popular in the United States"
    expected = [f"t{title}" for title in built().arrays["popular/US"] if not (c := built().titles[title].countries) or "US" in c]
    assert [cell.title_id for cell in rows[0].cells] == expected[:20]
    assert {cell.tier for row in rows for cell in row.cells} == {"popular_country"} == {page_tier(rows)}


def test_country_without_a_list_gets_what_is_popular_everywhere() -> None:
    rows = rows_for(country="FR")
    assert rows[0].name == "Popular Now"
    assert page_tier(rows) == "popular"


def test_candidates_lead_the_page_in_their_order() -> None:
    candidates = candidates_of("m1")
    rows = rows_for(candidates=candidates, country=None)
    assert rows[0].key == "top-picks"
    assert [cell.title_id for cell in rows[0].cells] == [f"t{title}" for title in candidates.titles[:8]]
    assert rows[0].cells[0].tier == "precomputed"


def test_continue_watching_shows_the_last_watched_first_with_its_bookmark() -> None:
    member_state = state.fold(
        state.EMPTY, [play("t1", 0.3, at_ms=NOW_MS - 3000), play("t2", 0.5, at_ms=NOW_MS - 1000), play("t3", 0.95)]
    )
    row = rows_for(member_state, country=None)[0]
    assert row.key == "continue-watching"
    assert [(cell.title_id, cell.progress, cell.evidence) for cell in row.cells] == [
        ("t2", 0.5, "continue at 45 min"),
        ("t1", 0.3, "continue at 27 min"),
    ]


def test_a_finished_play_names_a_row_and_says_why() -> None:
    member_state = state.fold(state.EMPTY, [play("t5", 0.95)])
    rows = rows_for(member_state, candidates_of("m0"), country=None)
    row = next(row for row in rows if row.key == "because:t5")
    name = built().titles[5].name
    similar = built().arrays["similar_titles"]
    neighbours = {f"t{title}" for title in similar[5]}
    assert row.name == f"Because You Watched {name}"
    assert row.cells[0].title_id in neighbours
    assert {cell.title_id for cell in row.cells} <= neighbours | {f"t{title}" for title in similar[similar[5]].ravel()}
    assert {cell.evidence for cell in row.cells} == {f"because you watched {name}"}


def test_a_fresh_play_lifts_what_is_similar_and_an_old_one_less() -> None:
    request = checked_request("m0", "tv", None, NOW_MS)
    nearest = int(built().arrays["similar_titles"][5][0])

    def score(*history: Play) -> float:
        member_state = state.fold(state.EMPTY, history)
        return float(blend(serving(), Facts(state=member_state), request).scores[nearest])

    nothing, known, fresh = score(), score(play("t5", 0.9, at_ms=CREATED_AT_MS - 1)), score(play("t5", 0.9))
    assert nothing < known < fresh
    assert score(play("t5", 0.2)) < fresh


def test_fresh_candidates_are_mixed_with_the_precomputed_ones() -> None:
    def candidates(**scores: float) -> Candidates:
        return Candidates(np.array([int(title[1:]) for title in scores], np.int32), np.array([*scores.values()], np.float32))

    request = checked_request("m0", "tv", None, NOW_MS)
    precomputed, fresh = candidates(t1=1.0, t2=0.5, t3=0.4), candidates(t3=0.9, t4=0.8, t2=0.6)
    blended = blend(serving(), Facts(candidates=precomputed, fresh=fresh), request)
    # t1: 0.3 * 0.6 + 0.7 * 1.0    t3: 0.3 * 0.9 + 0.7 * 0.4    t2: 0.3 * 0.6 + 0.7 * 0.5    t4: 0.3 * 0.8 + 0.7 * 0.4
    assert in_order(blended, blended.scores).order[:4].tolist() == [1, 3, 2, 4]
    assert [blended.tier(title) for title in (3, 4, 1, 2)] == ["fresh", "fresh", "precomputed", "precomputed"]
    assert blended.scores[[1, 3, 2, 4]] == pytest.approx(0.2 + 0.8 * np.array([0.36, 0.03, 0.01, 0.0]) / 0.36, abs=1e-6)
    assert blended.evidence(3) == "matches what you watched lately"

    only = blend(serving(), Facts(fresh=fresh), request)
    assert np.array_equal(only.scores, blend(serving(), Facts(candidates=fresh), request).scores)
    assert {only.tier(title) for title in (2, 3, 4)} == {"fresh"}


def test_liking_is_a_seed_and_disliking_is_none() -> None:
    liked = find_seeds(serving(), state.fold(state.EMPTY, [thumb("t7", True)]))
    assert [(seed.title, seed.verb) for seed in liked] == [(7, "liked")]
    assert find_seeds(serving(), state.fold(state.EMPTY, [play("t7", 0.8), thumb("t7", False)])) == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=TITLES, max_size=TITLES))
def test_ranking_equals_a_stable_sort(scores: list[float]) -> None:
    pool = blend(serving(), Facts(), checked_request("m0", "tv", None, NOW_MS))
    assert len(pool.titles) == TITLES
    expected = sorted(range(TITLES), key=lambda title: (-scores[title], title))
    assert in_order(pool, np.array(scores, dtype=np.float32)).order.tolist() == expected


def test_a_repeated_title_of_a_draft_is_placed_once() -> None:
    request = checked_request("m0", "tv", None, NOW_MS)
    blended = blend(serving(), Facts(), request)
    drafts = [
        Draft("own", "Own", np.array([4, 4, 9, 4, 9, 2, 1], dtype=np.int32)),
        Draft("own", "Again", np.arange(20, 30, dtype=np.int32)),
    ]
    context = RowContext(request, serving(), state.EMPTY, blended, in_order(blended, blended.scores), 5, 3)
    rows = assembled(drafts, context)
    assert [[cell.title_id for cell in row.cells] for row in rows] == [["t4", "t9", "t2"]]


def test_an_empty_catalogue_gives_no_rows() -> None:
    empty = Serving(build_snapshot(0, members=0).loaded())
    assert rows_for(on=empty) == ()
    assert page_tier(()) == "empty"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_tiny_catalogue_gives_a_page(count: int) -> None:
    tiny = Serving(build_snapshot(count, members=0, similar=3).loaded())
    assert sum(len(row.cells) for row in rows_for(on=tiny, country=None)) == count


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("popular", None, "no array 'popular'"),
        ("trending", np.array([0, 99], dtype=np.int32), "trending names titles that its 5 titles do not include"),
        ("similar_titles", np.zeros((4, 3), dtype=np.int32), "similar_titles has 4 rows for 5 titles"),
        ("similar_scores", np.zeros((5, 2), dtype=np.float32), "similar_scores has shape (5, 2); (5, 3) is expected"),
        ("similar_scores", np.full((5, 3), np.nan, dtype=np.float32), "similar_scores has values that are no numbers"),
        ("popular", np.zeros(5, dtype=np.float32), "popular is 1-dimensional float32"),
    ],
)
def test_a_snapshot_that_could_break_a_request_is_refused(name: str, array: np.ndarray | None, says: str) -> None:
    broken = build_snapshot(5, members=0, similar=3)
    if array is None:
        del broken.arrays[name]
    else:
        broken.arrays[name] = array
    with pytest.raises(SnapshotError) as raised:
        Serving(broken.loaded())
    assert says in str(raised.value)
