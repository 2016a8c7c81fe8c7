"""A process that starts while Redis is away shows what is popular, from the snapshot that was kept."""

import os
from pathlib import Path

import pytest
import redis

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from online import Recommender
from online.kept_snapshot import KeptSnapshot
from shared.errors import SnapshotError
from tests.online.snapshot_builder import build_snapshot, online_config, write_snapshot


def start_without_redis(kept: Path) -> Recommender:
    return Recommender(online_config(f"redis://127.0.0.1:{free_port()}/0", "away", keep_snapshot=str(kept)))


@pytest.mark.slow
def test_a_start_without_redis_serves_what_was_kept(
    redis_server: RedisServer, client: redis.Redis, namespace: str, tmp_path: Path
) -> None:
    kept = tmp_path / "cache" / "snapshot"
    write_snapshot(client, namespace, "v1", build_snapshot())
    with Recommender(online_config(redis_server.url, namespace, keep_snapshot=str(kept))) as recommender:
        there = recommender.page("nobody", country="US")
    with start_without_redis(kept) as recommender:
        page = recommender.page("m0", country="US")
    assert page.snapshot == "v1" and page.tier == "popular_country"
    assert {fallback.code for fallback in page.fallbacks} == {"redis-unreachable"}
    assert [cell.title_id for cell in page.rows[0].cells] == [cell.title_id for cell in there.rows[0].cells]


def test_a_kept_file_that_is_no_snapshot_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "snapshot"
    (tmp_path / "snapshot-default").write_bytes(os.urandom(200))
    with pytest.raises(SnapshotError, match="snapshot-default"):
        KeptSnapshot(tmp_path / "snapshot-default").read()
    with start_without_redis(kept) as recommender:
        page = recommender.page("m0")
    assert page.rows == () and page.tier == "empty" and page.snapshot is None
