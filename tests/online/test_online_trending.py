"""The trending row: what the stream says where and when the member asks, else what the snapshot knew."""

import pytest
import redis

from infra.local.redis_server import RedisServer
from online import Page, Recommender
from online.requesting import checked_request
from shared import keys, state, trending
from shared.pages.answers import Row
from shared.pages.blending import blend
from shared.pages.drafts import RowContext
from shared.pages.facts import Facts
from shared.pages.ranking import in_order
from shared.pages.rows import TrendingNow
from shared.pages.serving import Serving
from shared.trending import Part, Trending, TrendingTitle
from tests.online.assembling import assembled
from tests.online.plays import thumb
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot


def listed(*title_ids: str, country: str | None = "US", part: Part = "evening", made_at_ms: int = NOW_MS) -> Trending:
    """These titles, the most trending first."""
    return Trending(
        made_at_ms=made_at_ms,
        country=country,
        part=part,
        titles=tuple(TrendingTitle(title_id, 2.0, 0.1, 0.01, 0.08, 90.0, 9.0, 9.0) for title_id in title_ids),
    )


def row_of(live: Trending | None, member_state: state.MemberState = state.EMPTY) -> Row:
    serving = Serving(build_snapshot(60, members=3, candidates=25, similar=8).loaded())
    request = checked_request("m0", "tv", None, NOW_MS)
    blended = blend(serving, Facts(state=member_state), request)
    context = RowContext(request, serving, member_state, blended, in_order(blended, blended.scores), 12, 8, trending=live)
    (row,) = assembled(TrendingNow().draft(context), context)
    return row


def test_live_titles_come_first_and_say_where_and_when() -> None:
    before = [cell.title_id for cell in row_of(None).cells]
    new = [title for title in ("t51", "t52", "t53") if title not in before]
    row = row_of(listed(*new))
    told = {cell.title_id: cell.evidence for cell in row.cells}
    assert set(new) <= set(told)
    assert {told[title] for title in new} == {"trending in US this evening"}
    assert {told[title] for title in told.keys() - set(new)} == {"trending now"}
    assert len(row.cells) == 8
    assert {cell.evidence for cell in row_of(None).cells} == {"trending now"}


@pytest.mark.parametrize(
    ("country", "part", "evidence"), [(None, "night", "trending tonight"), ("GB", "morning", "trending in GB this morning")]
)
def test_the_evidence_reads_well(country: str | None, part: Part, evidence: str) -> None:
    assert evidence in {cell.evidence for cell in row_of(listed("t1", country=country, part=part)).cells}


def test_titles_that_the_snapshot_does_not_know_or_the_member_dislikes_are_left_out() -> None:
    disliked = state.fold(state.EMPTY, [thumb("t5", up=False)])
    row = row_of(listed("nowhere", "t5", "t6", "t6"), disliked)
    shown = [cell.title_id for cell in row.cells]
    assert "t6" in shown and "t5" not in shown
    assert len(shown) == len(set(shown)) == 8


def evidence_of(page: Page) -> set[str]:
    return {cell.evidence for row in page.rows if row.key == "trending" for cell in row.cells}


@pytest.mark.slow
def test_a_page_shows_what_was_published_for_its_place_and_time(
    redis_server: RedisServer, client: redis.Redis, namespace: str
) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    config = online_config(redis_server.url, namespace)
    part = trending.part_of_day(config.trending, "US", NOW_MS)
    key = keys.trending(namespace, "US", part)
    known, live = {"trending now"}, f"trending in US this {part}"
    with Recommender(config) as recommender:
        assert evidence_of(recommender.page("m0", country="US", now_ms=NOW_MS)) == known
        client.set(key, trending.encode(listed("t7", "t8", part=part)))
        page = recommender.page("m0", country="US", now_ms=NOW_MS)
        assert live in evidence_of(page)
        assert page.fallbacks == ()
        assert evidence_of(recommender.page("m0", country="GB", now_ms=NOW_MS)) == known
        assert evidence_of(recommender.page("m0", now_ms=NOW_MS)) == known
        assert evidence_of(recommender.page("m0", country="US", now_ms=NOW_MS + 6 * 3_600_000)) == known
        client.set(key, trending.encode(listed("t7", part=part, made_at_ms=NOW_MS - 61_000)))
        stale = recommender.page("m0", country="US", now_ms=NOW_MS)
        assert (evidence_of(stale), stale.fallbacks) == (known, ())
        client.set(key, trending.encode(listed("t7", part=part))[:-1])
        spoilt = recommender.page("m0", country="US", now_ms=NOW_MS)
        assert [fallback.code for fallback in spoilt.fallbacks] == ["trending-unusable"]
        assert (evidence_of(spoilt), spoilt.tier) == (known, "precomputed")
