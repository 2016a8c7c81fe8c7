"""A page goes on downwards and to the right, without repeats, and keeps its order from visit to visit where it is told to."""

import time
from collections.abc import Iterator

import pytest
import redis

from infra.local.redis_server import RedisServer
from online import Page, Recommender
from shared.errors import InputError
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot

pytestmark = pytest.mark.slow


@pytest.fixture
def recommender(redis_server: RedisServer, client: redis.Redis, namespace: str) -> Iterator[Recommender]:
    write_snapshot(client, namespace, "v1", build_snapshot(600))
    write_events(client, namespace, "m0", play("t9", 0.95), play("t30", 0.4))
    with Recommender(online_config(redis_server.url, namespace, rows=4, row_length=6)) as recommender:
        yield recommender


def shown(page: Page) -> list[str]:
    return [cell.title_id for row in page.rows for cell in row.cells]


def test_a_page_goes_on_downwards_and_to_the_right_without_repeats(recommender: Recommender) -> None:
    page = recommender.page("m0", now_ms=NOW_MS)
    assert page.cursor is not None and len(page.rows) == 4
    below = recommender.page("m0", after=page.cursor)
    assert below.rows and below.page_id == f"{page.page_id}.4"
    assert [row.cells[0].row_index for row in below.rows] == list(range(4, 4 + len(below.rows)))
    assert not set(shown(page)) & set(shown(below))
    assert not {row.key for row in page.rows} & {row.key for row in below.rows}
    assert below.at_ms == NOW_MS

    key = "top-picks"
    more = recommender.more_of_row("m0", key, after=below.cursor or "", shown=6)
    assert [cell.rank for cell in more.row.cells] == [6, 7, 8, 9, 10, 11]
    again = recommender.more_of_row("m0", key, after=more.cursor, shown=12)
    everything = [*shown(page), *shown(below), *(cell.title_id for cell in (*more.row.cells, *again.row.cells))]
    assert len(set(everything)) == len(everything)


def test_a_page_that_goes_on_and_on_ends(recommender: Recommender) -> None:
    page, seen = recommender.page("m0", now_ms=NOW_MS), 0
    for _ in range(60):
        if not page.rows:
            break
        seen += len(page.rows)
        page = recommender.page("m0", after=page.cursor)
    assert not page.rows and page.fallbacks[-1].code == "nothing-available" and seen > 8


def test_cursors_that_cannot_be_used_are_told(recommender: Recommender, client: redis.Redis, namespace: str) -> None:
    page = recommender.page("m0", now_ms=NOW_MS)
    with pytest.raises(InputError, match="cursor"):
        recommender.page("m0", after="nonsense")
    with pytest.raises(InputError, match="has no row 'nope'; its rows are"):
        recommender.more_of_row("m0", "nope", after=page.cursor or "", shown=6)
    write_snapshot(client, namespace, "v2", build_snapshot(600, seed=3))
    deadline_s = time.monotonic() + 20
    while (anew := recommender.page("m0", after=page.cursor)).snapshot != "v2" and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert (anew.snapshot, anew.rows[0].cells[0].row_index) == ("v2", 0)
    assert "cursor-outdated" in [fallback.code for fallback in anew.fallbacks]
    with pytest.raises(InputError, match="of another snapshot"):
        recommender.more_of_row("m0", "top-picks", after=page.cursor or "", shown=6)


def test_the_last_page_keeps_the_order_of_rows(recommender: Recommender) -> None:
    keys = [row.key for row in recommender.page("m0", now_ms=NOW_MS).rows]
    turned = [*keys[1:], keys[0]]
    same = [row.key for row in recommender.page("m0", now_ms=NOW_MS, previous=keys).rows]
    assert same == keys
    with pytest.raises(InputError, match="previous is"):
        recommender.page("m0", previous="top-picks")  # type: ignore[arg-type]
    assert {row.key for row in recommender.page("m0", now_ms=NOW_MS, previous=turned).rows} & set(keys)
