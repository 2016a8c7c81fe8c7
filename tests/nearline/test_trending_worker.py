"""Trending through everything: pages from the request library to Kafka, a worker that dies, and back to a page."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.worker import NearlineWorker
from online import Page, Recommender
from shared import store
from shared.config import Config
from tests.nearline.event_log import EventLog
from tests.nearline.trending_log import Counts, counts_in_redis, start
from tests.online.snapshot_builder import build_snapshot, write_snapshot
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow

MEMBERS = 40
LIMIT_S = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.1)


def trending_row(page: Page) -> list[tuple[str, str]]:
    return [(cell.title_id, cell.evidence) for row in page.rows if row.key == "trending" for cell in row.cells]


def of_kind(counts: Counts, kind: str) -> int:
    return sum(count for (_, name), count in counts.items() if f"/{kind}/" in name)


def test_what_members_start_from_their_pages_trends_although_the_worker_dies(config: Config, tmp_path: Path) -> None:
    path = settings(config, tmp_path)
    path.write_text(path.read_text() + "\n[trending]\npublish_s = 0.5\n")
    with store.connect(config.redis) as client:
        write_snapshot(client, config.redis.namespace, "v1", build_snapshot(members=0))
        with Recommender(config) as recommender:
            hot, _ = trending_row(recommender.page("nobody", country="US"))[-1]
            pages = [recommender.page(f"m{number}", country="US") for number in range(MEMBERS)]
        assert all(hot in {cell.title_id for row in page.rows for cell in row.cells} for page in pages)
        shown = sum(len(row.cells) for page in pages for row in page.rows)
        worker = NearlineWorker(path, instance="w1")

        def play(some: list[Page]) -> None:
            log = EventLog(config)
            for page in some:
                log.add(start(page.member_id, hot, page.page_id, at_ms=page.at_ms))
            log.send()

        try:
            play(pages[:20])
            worker.start()
            until(lambda: of_kind(counts_in_redis(client, config), "t") > 0, "no take was counted")
            worker.kill()
            play(pages[10:])  # some of them once more
            worker.start()
            until(lambda: of_kind(counts_in_redis(client, config), "t") >= MEMBERS, "takes are missing")
            until(lambda: of_kind(counts_in_redis(client, config), "p") >= MEMBERS, "starts are missing")
            with Recommender(config) as recommender:
                seen: list[tuple[str, str]] = []

                def leads() -> bool:
                    seen[:] = trending_row(recommender.page("nobody", country="US"))
                    return seen[:1] != [] and seen[0][0] == hot

                until(leads, f"{hot} does not lead")
                assert seen[0][1].startswith("trending in US ")
            counts = counts_in_redis(client, config)
            assert (of_kind(counts, "t"), of_kind(counts, "p")) == (MEMBERS, MEMBERS)
            assert of_kind(counts, "i") >= shown  # and the cells of the pages for nobody
        finally:
            worker.stop()
