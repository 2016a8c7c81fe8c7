"""Rows against cold starts: new titles by what they are, and asking members of whom nothing is known."""

import pytest

from shared.pages.rows import FreshFinds, PickSomeYouLike
from tests.online.plays import play, thumb
from tests.online.snapshot_builder import NOW_MS
from tests.shared.pages.rows.drafting import DAY_MS, GENRES, context_of, drafted, ids_of


def test_new_titles_with_few_plays_go_to_those_who_like_their_kind() -> None:
    titles = context_of().serving.snapshot.catalogue.titles
    quirky = [at for at, title in enumerate(titles) if title.tags == ("Quirky",) and title.genres[0] == "Drama"]
    (draft,) = drafted(FreshFinds(), context := context_of(candidates=quirky))
    first = context.serving.snapshot.catalogue[int(draft.titles[0])]
    assert (first.tags, first.genres[0]) == (("Quirky",), "Drama")
    popularity, _ = context.serving.popularity(None)
    for title in draft.titles.tolist():
        assert popularity[title] <= 0.5
        assert NOW_MS - 365 * DAY_MS < context.serving.released_ms[title] <= NOW_MS


def test_years_later_nothing_is_new() -> None:
    assert drafted(FreshFinds(), context_of(now_ms=NOW_MS + 800 * DAY_MS)) == []


def test_a_member_nobody_knows_is_asked_for_titles_of_all_genres() -> None:
    context = context_of(country="US")
    (draft,) = drafted(PickSomeYouLike(), context)
    assert (draft.kind, draft.name) == ("ask", "Pick Some Titles You Like")
    titles = [context.serving.snapshot.catalogue[title] for title in draft.titles.tolist()]
    assert {title.genres[0] for title in titles[:4]} == set(GENRES)
    popular = context.serving.popular_order(None)
    assert draft.titles[0] == popular[context.ranking.is_open[popular]][0]
    assert len(set(draft.titles[:8].tolist()) & set(popular[:40].tolist())) == 8


def test_what_the_member_told_already_is_not_asked_again() -> None:
    first, second = ids_of(drafted(PickSomeYouLike(), nobody := context_of())[0], nobody)[:2]
    (draft,) = drafted(PickSomeYouLike(), context := context_of([thumb(first, True), play(second, 0.3)]))
    assert not {first, second} & set(ids_of(draft, context))


@pytest.mark.parametrize(
    ("history", "candidates"),
    [
        ([play("t1", 0.5), play("t2", 0.5), thumb("t3", True)], []),
        ([thumb(f"t{n}", False) for n in (1, 2, 3)], []),
        ([], [5, 6]),
        ([play("t1", 0.5)], [5, 6]),
    ],
)
def test_a_member_who_is_known_is_not_asked(history: list, candidates: list[int]) -> None:
    assert drafted(PickSomeYouLike(), context_of(history, candidates=candidates)) == []
