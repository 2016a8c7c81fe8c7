"""Fresh candidates at request time: read in the same round trip, and costing only themselves when they are unusable."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import redis

from infra.local.redis_server import RedisServer
from online import Page, Recommender
from shared import fence as fences
from shared import fresh, keys
from shared.fresh import FreshCandidates, FreshStore, FreshWrite
from shared.histories import Seed
from shared.store import StateStore
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot

pytestmark = pytest.mark.slow

TITLES = 300
Spoil = Callable[[FreshCandidates], bytes]


def candidates(client: redis.Redis, namespace: str, member_id: str = "m0") -> FreshCandidates:
    """Candidates made from the member's state as it is: the last titles first."""
    fence = StateStore(client, namespace).read([member_id])[0].decode()[1]
    titles = np.arange(TITLES - 1, TITLES - 41, -1, dtype=np.int32)
    return FreshCandidates("v1", fence, NOW_MS, titles, np.linspace(5, 4, 40, dtype=np.float32), (Seed("t7", 0.9),))


def put(client: redis.Redis, namespace: str, made: FreshCandidates, blob: bytes | None = None, member_id: str = "m0") -> None:
    write = FreshWrite(member_id, fences.encode(made.fence), fresh.encode(made) if blob is None else blob)
    assert FreshStore(client, namespace, 60).write("v1", [write]) == ["written"]


def page_of(redis_server: RedisServer, namespace: str) -> Page:
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        return recommender.page("m0", now_ms=NOW_MS)


@pytest.fixture
def prepared(client: redis.Redis, namespace: str) -> str:
    """A namespace with a snapshot, and a member who finished a title."""
    write_snapshot(client, namespace, "v1", build_snapshot(TITLES))
    write_events(client, namespace, "m0", play("t3", 0.95))
    return namespace


def test_fresh_candidates_lead_the_page_and_say_so(redis_server: RedisServer, client: redis.Redis, prepared: str) -> None:
    put(client, prepared, candidates(client, prepared))
    page = page_of(redis_server, prepared)
    assert page.fallbacks == ()
    picks = next(row for row in page.rows if row.key == "top-picks")
    assert {"t299", "t298", "t297"} <= {cell.title_id for cell in picks.cells}
    fresh_cells = [cell for cell in picks.cells if cell.tier == "fresh"]
    assert {cell.evidence for cell in fresh_cells} == {"matches what you watched lately"}


def test_rows_are_named_after_the_seeds_kept_ready_for_this_very_state(
    redis_server: RedisServer, client: redis.Redis, prepared: str
) -> None:
    def named() -> list[str]:
        return [row.key for row in page_of(redis_server, prepared).rows if row.key.startswith("because:")]

    put(client, prepared, candidates(client, prepared))
    assert named() == ["because:t7"]
    write_events(client, prepared, "m0", play("t5", 0.8, at_ms=NOW_MS - 1000))
    assert named() == ["because:t5", "because:t3"]  # the state is newer: its own
    client.hset(keys.state(prepared, "m0"), "s", b"\x01garbage")
    assert named() == ["because:t7"]  # the state cannot be read


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda made: b"", "too few"),
        (lambda made: b"\x09" + fresh.encode(made)[1:], "version 9"),
        (lambda made: fresh.encode(made)[:-3], "checksum"),
        (lambda made: fresh.encode(replace(made, version="v7")), "of snapshot 'v7'"),
        (lambda made: fresh.encode(replace(made, titles=made.titles + 1)), "does not have"),
        (lambda made: fresh.encode(replace(made, titles=made.titles - TITLES)), "does not have"),
        (lambda made: fresh.encode(replace(made, scores=made.scores * np.float32("nan"))), "no numbers"),
        (lambda made: fresh.encode(replace(made, scores=made.scores[:-1])), "39 scores for 40 titles"),
    ],
)
def test_unusable_fresh_candidates_cost_only_themselves(
    redis_server: RedisServer, client: redis.Redis, prepared: str, spoil: Spoil, says: str
) -> None:
    made = candidates(client, prepared)
    put(client, prepared, made, spoil(made))
    page = page_of(redis_server, prepared)
    assert [fallback.code for fallback in page.fallbacks] == ["fresh-unusable"]
    assert says in page.fallbacks[0].detail
    assert {"precomputed", "live"} <= {cell.tier for row in page.rows for cell in row.cells}
    assert len(page.rows) >= 5 and "because:t3" in [row.key for row in page.rows]


def test_candidates_of_a_history_that_says_nothing_change_nothing(
    redis_server: RedisServer, client: redis.Redis, prepared: str
) -> None:
    before = page_of(redis_server, prepared)
    made = candidates(client, prepared)
    put(client, prepared, replace(made, titles=made.titles[:0], scores=made.scores[:0], seeds=(Seed("t3", 0.95),)))
    after = page_of(redis_server, prepared)
    assert (after.rows, after.fallbacks) == (before.rows, ())
