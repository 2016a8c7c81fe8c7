"""`Recommender` on a real Redis: one round trip, live changes, and an answer whatever breaks."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import redis

from infra.local.redis_server import RedisServer
from online import DEFAULT_ROWS, Draft, Page, Recommender, RowContext
from shared import codecs, keys
from shared.errors import ConfigError, InputError
from shared.snapshots import SnapshotStore
from tests.online.link import Link
from tests.online.plays import play, thumb, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot

pytestmark = pytest.mark.slow

WAIT_S = 30.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a background thread brings about."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def shown(page: Page) -> list[str]:
    return [cell.title_id for row in page.rows for cell in row.cells]


def codes(page: Page) -> list[str]:
    return [fallback.code for fallback in page.fallbacks]


def test_a_page_is_personal_whole_and_accounted_for(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    built = build_snapshot()
    write_snapshot(client, namespace, "v1", built)
    write_events(client, namespace, "m0", play("t3", 0.4), play("t8", 0.95, at_ms=NOW_MS - 30_000))
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        page = recommender.page("m0", device="phone", country="us", now_ms=NOW_MS)
        assert (page.snapshot, page.device, page.country, page.fallbacks) == ("v1", "phone", "US", ())
        assert page.fence == {"plays": "1:0:2"}
        assert page.state_age_ms == 30_000
        assert page.tier == "live"
        rows = {row.key: row for row in page.rows}
        assert "continue-watching" in list(rows)[:5] and {"top-picks", "because:t8"} <= set(rows)
        assert len(page.rows) == 12
        assert set(page.seconds) == {"allocate", "fetch", "blend", "rank", "rows", "page", "account"}
        assert "t8" not in shown(page)

        top = recommender.recommend("m0", 30, country="US", now_ms=NOW_MS)
        assert [recommendation.rank for recommendation in top] == list(range(30))
        assert not {"t3", "t8"} & {recommendation.title_id for recommendation in top}
        assert rows["top-picks"].cells[0].title_id == top[0].title_id


def test_a_live_play_changes_the_next_page(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        before = recommender.page("m1", now_ms=NOW_MS)
        top_before = [item.title_id for item in recommender.recommend("m1", now_ms=NOW_MS)]
        write_events(client, namespace, "m1", play("t40", 0.7, member_id="m1"), thumb(top_before[0], False, member_id="m1"))
        after = recommender.page("m1", now_ms=NOW_MS)
        top_after = [item.title_id for item in recommender.recommend("m1", now_ms=NOW_MS)]
    assert (before.tier, after.tier) == ("precomputed", "live")
    (again,) = [row for row in after.rows[:5] if row.key == "continue-watching"]
    assert [cell.title_id for cell in again.cells] == ["t40"]
    assert "because:t40" in [row.key for row in after.rows]
    assert top_before[0] in shown(before) and top_before[0] not in shown(after)
    assert top_after != top_before


def test_an_unknown_member_gets_a_good_page(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        page = recommender.page("nobody {has}:heard of 🎬", country="DE")
        assert len(page.rows) >= 5
        assert (page.tier, page.rows[0].name, codes(page)) == ("popular_country", "Popular in Germany", ["no-candidates"])
        assert page.state_age_ms is None
        assert len(recommender.recommend("nobody", 300)) == 300


def test_one_round_trip_a_call(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    with Link(redis_server.port) as link:
        url = f"redis://127.0.0.1:{link.port}/0"
        with Recommender(online_config(url, namespace)) as recommender:
            recommender.page("m0")  # opens the connection
            trips, connections = link.round_trips, link.connections
            for _ in range(10):
                recommender.page("m0")
            for _ in range(10):
                recommender.recommend("m1")
            # The idle look at the pointer may fall into this moment; it is no part of a request.
            assert 20 <= link.round_trips - trips <= 21
            assert link.connections == connections


def test_redis_killed_and_started_again(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        assert recommender.page("m0").tier == "precomputed"
        client.bgrewriteaof()  # what was written is on the disk before the kill
        until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        redis_server.kill()
        try:
            page = recommender.page("m0", country="US")
            assert (page.tier, codes(page), page.snapshot) == ("popular_country", ["redis-unreachable"], "v1")
            assert len(page.rows) >= 5
            assert len(recommender.recommend("m0")) == 20
        finally:
            redis_server.start()
        assert recommender.page("m0").tier == "precomputed"
        until(lambda: recommender.page("m0").fallbacks == ())


def test_redis_that_does_not_answer_is_not_waited_for(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    with Link(redis_server.port) as link:
        url = f"redis://127.0.0.1:{link.port}/0"
        with Recommender(online_config(url, namespace, deadline_ms=100.0)) as recommender:
            assert codes(recommender.page("m0")) == []
            link.stall()
            page = recommender.page("m0")
            assert (page.tier, codes(page)) == ("popular", ["redis-slow"])
            assert "100 ms" in page.fallbacks[0].detail
            link.flow()
            until(lambda: recommender.page("m0").tier == "precomputed")


def test_a_start_without_redis_heals(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    with (
        Link(1) as link,  # nothing listens there: every connection is closed at once
        Recommender(online_config(f"redis://127.0.0.1:{link.port}/0", namespace)) as recommender,
    ):
        page = recommender.page("m0")
        assert (page.tier, page.rows, page.snapshot) == ("empty", (), None)
        assert set(codes(page)) == {"redis-unreachable"}
        assert recommender.recommend("m0") == []
        link.target(redis_server.port)
        until(lambda: recommender.page("m0").tier == "precomputed")


def test_a_start_before_the_first_publish_heals(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        page = recommender.page("m0")
        assert (page.tier, codes(page)) == ("empty", ["no-snapshot"])
        write_snapshot(client, namespace, "v1", build_snapshot())
        until(lambda: recommender.page("m0").tier == "precomputed")


def test_half_a_snapshot_is_not_served(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    half = build_snapshot(seed=1)
    bundle = codecs.encode_bundle(half.titles, half.arrays)
    store = SnapshotStore(client, namespace)
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        store.write_bundle("v2", bundle[: len(bundle) // 2])
        store.write_manifest(half.manifest("v2", bundle))
        store.flip("default", "v2")
        until(lambda: codes(recommender.page("m0")) == ["snapshot-unusable"])
        page = recommender.page("m0")
        assert (page.tier, page.snapshot) == ("precomputed", "v1")
        store.write_bundle("v2", bundle)
        until(lambda: recommender.snapshot == "v2")
        assert codes(recommender.page("m0")) == ["no-candidates"]
        store.rollback("default")
        until(lambda: recommender.page("m0").snapshot == "v1")


@pytest.mark.parametrize(
    ("spoil", "code", "tier"),
    [
        (lambda c, state, cand: c.hset(state, "s", b"\x01garbage"), "state-unusable", "precomputed"),
        (lambda c, state, cand: c.hset(state, "s", b"\x63"), "state-unusable", "precomputed"),
        (lambda c, state, cand: c.hset(state, "f", b"nonsense"), "state-unusable", "precomputed"),
        (lambda c, state, cand: c.delete(state) and c.set(state, "a string"), "redis-error", "precomputed"),
        (lambda c, state, cand: c.setrange(cand, 9, b"\xff\xff"), "candidates-unusable", "live"),
        (lambda c, state, cand: c.set(cand, b""), "candidates-unusable", "live"),
        (lambda c, state, cand: c.delete(cand), "no-candidates", "live"),
    ],
)
def test_corrupt_data_costs_only_itself(
    redis_server: RedisServer,
    client: redis.Redis,
    namespace: str,
    spoil: Callable[[redis.Redis, str, str], object],
    code: str,
    tier: str,
) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    write_events(client, namespace, "m0", play("t3", 0.95))
    spoil(client, keys.state(namespace, "m0"), keys.candidates(namespace, "m0", "v1"))
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        page = recommender.page("m0", now_ms=NOW_MS)
    assert (page.tier, codes(page)) == (tier, [code])
    assert len(page.rows) >= 5


def test_a_row_builder_that_fails_costs_its_own_row(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    class Broken:
        def draft(self, context: RowContext) -> Iterable[Draft]:
            raise ZeroDivisionError("no good")

    write_snapshot(client, namespace, "v1", build_snapshot())
    with Recommender(online_config(redis_server.url, namespace), rows=(Broken(), *DEFAULT_ROWS)) as recommender:
        page = recommender.page("m0")
    assert (codes(page), page.fallbacks[0].detail) == (["row-failed"], "Broken: ZeroDivisionError: no good")
    assert page.tier == "precomputed"


def test_bad_input_is_the_callers(redis_server: RedisServer, namespace: str, tmp_path: Path) -> None:
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        with pytest.raises(InputError, match="member_id is 7"):
            recommender.page(7)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="k is 0"):
            recommender.recommend("m0", 0)
    file = tmp_path / "marquee.toml"
    file.write_text(f'[redis]\nurl = "{redis_server.url}"\nnamespace = "{namespace}"\n[online]\nlog_impressions = false\n')
    with Recommender.from_config(file) as recommender:
        assert codes(recommender.page("m0")) == ["no-snapshot"]
    file.write_text('[redis]\nurl = "gopher://x"\n')
    with pytest.raises(ConfigError, match=r"\[redis\] url"):
        Recommender.from_config(file)
