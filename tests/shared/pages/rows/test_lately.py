"""What is new and what is popular; what is trending live is tested with the stream's list (tests/online)."""

from shared.pages.arrivals import Arrivals
from shared.pages.rows import NewReleases, PopularInCountry, TopPicks, TrendingNow
from shared.pages.rows.lately import RELEASE_AGE_MS
from tests.online.plays import play
from tests.online.snapshot_builder import NOW_MS
from tests.shared.pages.rows.drafting import DAY_MS, context_of, drafted, ids_of, served


def test_new_releases_are_out_not_long_and_in_the_members_order() -> None:
    context = context_of(candidates=[8, 4, 200])
    (draft,) = drafted(NewReleases(), context)
    found = ids_of(draft, context)
    released = {title.title_id: title.released_ms or 0 for title in context.serving.snapshot.catalogue.titles}
    assert found[:2] == ["t8", "t4"]
    assert set(found) == {one for one, at_ms in released.items() if NOW_MS - RELEASE_AGE_MS < at_ms <= NOW_MS}
    assert "t0" not in found  # comes out next month
    outside = [title_id for title_id in found if not context.ranking.scores[context.serving.index[title_id]]]
    assert outside == sorted(outside, key=lambda title_id: -released[title_id])


def test_long_after_the_last_release_there_is_no_such_row() -> None:
    assert drafted(NewReleases(), context_of(now_ms=NOW_MS + 400 * DAY_MS)) == []


def test_arrivals_know_what_came_between_two_moments() -> None:
    arrivals, released = Arrivals(served()), served().released_ms
    since, until = int(released[20]), int(released[15])
    assert arrivals.between(since, until).tolist() == [15, 16, 17, 18, 19]
    assert not len(arrivals.between(until, since))
    popularity, _ = served().popularity(None)
    found = arrivals.undiscovered_at(NOW_MS).tolist()
    assert found == [
        title for title in range(240) if popularity[title] <= 0.5 and NOW_MS - 365 * DAY_MS < released[title] <= NOW_MS
    ]


def test_what_the_country_watches_is_a_row_for_known_members_and_the_first_one_for_others() -> None:
    context = context_of([play("t3", 0.95)], country="DE")
    (draft,) = drafted(PopularInCountry(), context)
    assert draft.name == "Popular in Germany"
    best = context.serving.popular_order("DE")[:30]
    assert len(set(draft.titles[:10].tolist()) & set(best.tolist())) >= 9
    (picks,) = drafted(TopPicks(), context)
    assert picks.name == "Top Picks for You"

    nobody = context_of(country="DE")
    assert drafted(PopularInCountry(), nobody) == []
    assert [draft.name for draft in drafted(TopPicks(), nobody)] == ["Popular in Germany"]
    elsewhere = context_of([play("t3", 0.95)], country="FR")
    assert drafted(PopularInCountry(), elsewhere) == []
    assert [draft.name for draft in drafted(TopPicks(), context_of(country="FR"))] == ["Popular Now"]


def test_a_trending_title_that_suits_the_member_moves_to_the_left() -> None:
    trending = served().trending.tolist()
    suited = next(title for title in trending[1:] if served().available("US")[title])
    before, after = (drafted(TrendingNow(), context_of(candidates=liked))[0].titles.tolist() for liked in ([], [suited]))
    assert after[0] == suited
    assert before.index(suited) > 0
