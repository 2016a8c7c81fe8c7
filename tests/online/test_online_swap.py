"""Snapshots flip under concurrent requests: no answer ever mixes two."""

import threading

import numpy as np
import pytest
import redis

from infra.local.redis_server import RedisServer
from online import Page, Recommender
from shared.snapshots import SnapshotStore
from shared.titles import Title
from tests.online.snapshot_builder import BuiltSnapshot, build_snapshot, online_config, write_snapshot

pytestmark = pytest.mark.slow

FLIPS = 6
THREADS = 4
WAIT_S = 30.0


def marked(mark: str, reverse: bool) -> BuiltSnapshot:
    """The same titles under other indices and names, so that any mixture of two versions shows in a page."""
    base = build_snapshot(120, members=0, similar=10)
    order = np.arange(120)[:: -1 if reverse else 1]
    titles = [base.titles[index] for index in order]
    named = [Title(t.title_id, f"{mark} {t.name}", t.genres, t.runtime_s, t.released_ms) for t in titles]
    built = build_snapshot(named, members=0, similar=10)
    # Titles of even number in both versions: under the other version's indices they would be of odd number.
    indices = np.array([place for place, t in enumerate(named) if int(t.title_id[1:]) % 2 == 0], dtype=np.int32)
    built.candidates["m0"] = (indices[:40], np.linspace(1, 0.1, 40, dtype=np.float32))
    return built


def mixture(page: Page) -> str | None:
    """What does not fit a page's own version; None for nothing."""
    mark = page.snapshot[:1] if page.snapshot else "?"
    for row in page.rows:
        for cell in row.cells:
            if not cell.name.startswith(f"{mark} "):
                return f"{cell.name!r} in a page of {page.snapshot}"
            if cell.tier == "precomputed" and int(cell.title_id[1:]) % 2:
                return f"candidate {cell.title_id} in a page of {page.snapshot}"
    return None


def test_no_request_mixes_two_snapshots(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    store = SnapshotStore(client, namespace)
    write_snapshot(client, namespace, "A1", marked("A", reverse=False))
    write_snapshot(client, namespace, "B1", marked("B", reverse=True), arm=None)
    served: set[str] = set()
    faults: list[str] = []
    pages = 0
    done = threading.Event()
    with Recommender(online_config(redis_server.url, namespace)) as recommender:

        def ask() -> None:
            nonlocal pages
            while not done.is_set():
                page = recommender.page("m0")
                pages += 1
                served.add(page.snapshot or "none")
                if page.fallbacks:
                    faults.append(str(page.fallbacks))
                if (fault := mixture(page)) is not None:
                    faults.append(fault)

        threads = [threading.Thread(target=ask) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            for flip in range(FLIPS):
                version = "B1" if flip % 2 == 0 else "A1"
                store.flip("default", version)
                waited = threading.Event()
                for _ in range(int(WAIT_S / 0.02)):
                    if recommender.snapshot == version:
                        break
                    waited.wait(0.02)
                assert recommender.snapshot == version
        finally:
            done.set()
            for thread in threads:
                thread.join(WAIT_S)
    assert faults == []
    assert served == {"A1", "B1"}
    assert pages > FLIPS
