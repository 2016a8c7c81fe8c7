"""What holds of every page, whichever policy placed it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.pages.drafts import Draft
from shared.pages.policies import POLICIES, PageView, Placed, named_policy
from tests.shared.pages.policies.drawn import draft, keys, random_page, shown, view

COUNT = 12
titles = st.lists(st.integers(0, COUNT - 1), max_size=9)
some_drafts = st.lists(
    st.builds(
        lambda key, titles, least, kind, owns, chance: draft(key, *titles, least=least, kind=kind, owns=owns, chance=chance),
        st.sampled_from("abcdefg"),
        titles,
        st.integers(0, 4),
        st.sampled_from(["", "x", "y"]),
        st.sampled_from([False, False, True]),
        st.none() | st.floats(0, 1),
    ),
    max_size=8,
)
some_views = st.builds(
    lambda scores, genres, rows, row_length, taken, shown_rows, previous, stability, pinned, seed: view(
        scores,
        genres,
        rows,
        row_length,
        {"stability": stability, "pinned": pinned, "evaluations": 5},
        taken=np.isin(np.arange(COUNT), taken) if taken else None,
        shown_rows=frozenset(shown_rows),
        previous=tuple(previous),
        seed=seed,
    ),
    st.lists(st.floats(0, 1, width=32), min_size=COUNT, max_size=COUNT),
    st.lists(titles, max_size=3),
    st.integers(1, 6),
    st.integers(1, 6),
    titles,
    st.sets(st.sampled_from("fgh"), max_size=1),
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.floats(0, 1),
    st.dictionaries(st.sampled_from("abh"), st.integers(1, 3), max_size=1),
    st.integers(0, 9),
)
every_policy = pytest.mark.parametrize("name", POLICIES)


def check_page(page: Sequence[Placed], drafts: Sequence[Draft], seen: PageView) -> None:
    """Each row shows exactly what the rows above left of it, and no row is left out without need."""
    first = {row.key: row for row in reversed(drafts) if row.key not in seen.shown_rows}
    free = set(range(COUNT)) if seen.taken is None else set(np.flatnonzero(~seen.taken).tolist())

    def left(row: Draft) -> list[int]:
        return [title for title in dict.fromkeys(row.titles.tolist()) if row.owns or title in free]

    def is_enough(row: Draft) -> bool:
        return len(left(row)) >= max(1, min(row.least, seen.row_length))

    for row in page:
        assert row.draft is first.pop(row.draft.key)
        assert is_enough(row.draft)
        assert shown(row) == left(row.draft)[: seen.row_length]
        assert (np.diff(row.places) > 0).all()
        if not row.draft.owns:
            free -= set(shown(row))
    assert len(page) == seen.rows_limit or not [row for row in first.values() if is_enough(row)]


@every_policy
@settings(max_examples=50)
@given(some_drafts, some_views)
def test_a_page_goes_by_the_rules(name: str, drafts: list[Draft], seen: PageView) -> None:
    page = POLICIES[name].place(drafts, seen)
    assert len(page) <= seen.rows_limit
    check_page(page, drafts, seen)
    for key, limit in seen.settings.pinned.items():
        if key in keys(page):
            assert keys(page).index(key) < max(1, limit - len(seen.shown_rows))
    again = POLICIES[name].place(drafts, seen)
    assert keys(again) == keys(page) and [shown(row) for row in again] == [shown(row) for row in page]


@every_policy
def test_titles_in_progress_are_left_out_of_other_rows_and_a_list_is_not(name: str) -> None:
    drafts = [draft("continue", 0, 1), draft("list", 2, 3, owns=True), draft("top", 0, 1, 2, 3, 4)]
    seen = view([0.0, 0.0, 0.5, 0.4, 0.3], settings={"pinned": {"continue": 1}})
    page = {row.draft.key: shown(row) for row in POLICIES[name].place(drafts, seen)}
    assert page == {"continue": [0, 1], "list": [2, 3], "top": [2, 3, 4]}


@every_policy
def test_pinned_rows_crowd_each_other_up(name: str) -> None:
    drafts = [*(draft(f"good{at}", at) for at in range(4)), draft("one", 4), draft("two", 5)]
    seen = view([1.0, 0.9, 0.8, 0.7, 0.1, 0.1], rows=4, settings={"pinned": {"one": 2, "two": 2}})
    assert keys(POLICIES[name].place(drafts, seen)) == ["one", "two", "good0", "good1"]


@every_policy
def test_pins_count_from_the_top_of_a_page_that_goes_on(name: str) -> None:
    drafts = [*(draft(f"good{at}", at) for at in range(4)), draft("one", 4)]
    for above, place in (((), 2), (("a",), 1), (("a", "b", "c"), 0)):
        seen = view([1.0, 0.9, 0.8, 0.7, 0.1], settings={"pinned": {"one": 3}}, shown_rows=frozenset(above))
        assert keys(POLICIES[name].place(drafts, seen)).index("one") == place


@every_policy
def test_nothing_drafted_is_an_empty_page(name: str) -> None:
    assert POLICIES[name].place([], view([0.5])) == []
    assert POLICIES[name].place([draft("none")], view([0.5])) == []


@every_policy
def test_seed_and_last_page_do_not_change_what_they_should_not(name: str) -> None:
    drafts, seen = random_page(1, settings={"stability": 0.0})
    _, other = random_page(1, settings={"stability": 0.0}, previous=tuple(row.key for row in reversed(drafts)))
    assert keys(POLICIES[name].place(drafts, seen)) == keys(POLICIES[name].place(drafts, other))


def test_an_unknown_policy_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="'best' is unknown; one of template, alone, stagewise, search is expected"):
        named_policy("best")
    assert named_policy("search") is POLICIES["search"]
