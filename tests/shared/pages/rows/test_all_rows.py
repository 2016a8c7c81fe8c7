"""All builders together, on any state that events can make: nothing is drafted that must not be shown."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.events import Feedback, Play
from shared.pages.arrivals import Arrivals
from shared.pages.begun import titles_to_continue
from shared.pages.drafts import draft_rows
from shared.pages.rows import DEFAULT_ROWS, prepare
from shared.pages.serving import Serving
from shared.pages.shelves import Shelves
from tests.online.plays import play, thumb
from tests.online.snapshot_builder import NOW_MS, build_snapshot
from tests.shared.pages.rows.drafting import DAY_MS, RATINGS, context_of, invented, listed

title_ids = st.integers(0, 250).map(lambda number: f"t{number}")  # the last ones are in no snapshot
moments = st.integers(NOW_MS - 60 * DAY_MS, NOW_MS)
plays = st.builds(lambda title, share, at: play(title, share, at_ms=at), title_ids, st.floats(0, 1), moments)
thumbs = st.builds(lambda title, up, at: thumb(title, up, at_ms=at), title_ids, st.booleans(), moments)
lists = st.builds(
    lambda title, kind, at: listed(title, kind, at_ms=at), title_ids, st.sampled_from(["list_add", "list_remove"]), moments
)
histories = st.lists(st.one_of(plays, thumbs, lists), max_size=80)
candidates = st.lists(st.integers(0, 239), max_size=30, unique=True)


@settings(max_examples=120, deadline=None)
@given(histories, candidates, st.sampled_from([None, "US", "DE"]), st.sampled_from([(), ("G",), RATINGS]))
def test_no_row_shows_what_must_not_be_shown(
    history: list[Play | Feedback], wanted: list[int], country: str | None, ratings: tuple[str, ...]
) -> None:
    context = context_of(history, candidates=wanted, country=country, ratings=ratings)
    drafts, failed = draft_rows(DEFAULT_ROWS, context)
    assert failed == ()
    assert drafts or not context.ranking.is_open.any()
    assert max(Counter(draft.key for draft in drafts).values(), default=1) == 1
    catalogue = context.serving.snapshot.catalogue
    disliked = context.state.disliked_titles
    for draft in drafts:
        titles = [catalogue[title] for title in draft.titles.tolist()]
        assert len(titles) == len({title.title_id for title in titles}) > 0
        assert draft.titles.dtype == np.int32
        assert draft.kind and draft.name
        assert not {title.title_id for title in titles} & disliked
        assert all(not title.countries or country in (None, *title.countries) for title in titles)
        assert all(title.maturity in ratings for title in titles) or not ratings
        if draft.kind not in ("continue", "watch-again", "my-list"):
            assert context.ranking.is_open[draft.titles].all()  # nothing that was watched to the end either
        if draft.progress is not None:
            assert len(draft.progress) == len(titles)
        if not isinstance(draft.evidence, str | None):
            assert len(draft.evidence) == len(titles)
        assert draft.chance is None or 0.0 <= draft.chance <= 1.0


@settings(max_examples=100, deadline=None)
@given(histories, st.integers(1, 30))
def test_what_is_to_be_continued_equals_the_slow_definition(history: list[Play | Feedback], limit: int) -> None:
    context = context_of(history, country="US")
    index, disliked = context.serving.index, context.state.disliked_titles
    expected = [
        (index[played.title_id], played)
        for played in context.state.in_progress()
        if played.title_id in index and context.showable[index[played.title_id]] and played.title_id not in disliked
    ]
    assert titles_to_continue(context.serving, context.state, context.showable, limit) == expected[:limit]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 239), max_size=40, unique=True), candidates, st.data())
def test_the_order_by_appeal_equals_the_slow_definition(titles: list[int], wanted: list[int], data: st.DataObject) -> None:
    context = context_of([thumb("t5", False), play("t9", 0.95)], candidates=wanted)
    steps = data.draw(st.lists(st.integers(1, 4), min_size=len(titles), max_size=len(titles)))
    worth = np.array(steps, dtype=np.float32)
    scores, best = context.ranking.scores, float(context.ranking.scores.max())

    def value(place: int) -> float:
        return float(worth[place] * (np.float32(1.0) + scores[titles[place]] * np.float32(1.0 / best)))

    expected = sorted((place for place, title in enumerate(titles) if context.ranking.is_open[title]), key=lambda at: -value(at))
    found = context.by_appeal(np.array(titles, dtype=np.int32), worth)
    assert found.tolist() == [titles[place] for place in expected]


def test_a_page_of_twenty_rows_has_drafts_for_all_of_them_even_for_a_member_nobody_knows() -> None:
    for known in ([], [play("t1", 0.95), play("t2", 0.8)]):
        context = context_of(known, country="US", rows_limit=20)
        drafts, _ = draft_rows(DEFAULT_ROWS, context)
        kinds = Counter(draft.kind for draft in drafts)
        assert kinds["genre"] == 3 and kinds["micro-genre"] >= 2
        assert ("ask" in kinds) == (len(known) < 3)


def test_a_prepared_snapshot_has_what_its_first_request_would_work_out(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving(build_snapshot(invented(), members=0, similar=10).loaded())
    prepare(serving)
    for part in (Shelves, Arrivals):
        monkeypatch.setattr(part, "__init__", None)  # neither can be made any more
    context = context_of(on=serving, country="US")
    drafts, failed = draft_rows(DEFAULT_ROWS, context)
    assert failed == ()
    assert {"ask", "genre", "micro-genre", "fresh-finds", "new-releases"} <= {draft.kind for draft in drafts}
