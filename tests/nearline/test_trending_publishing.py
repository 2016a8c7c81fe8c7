"""What the counters say reaches a member's page: published by one worker at a time, read again only where it changed."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis

from infra.local.stack import LocalStack
from nearline.records import Arrived
from nearline.trending import TrendingCounter, TrendingPublisher
from nearline.trending.totals import CounterReader
from online import Page, Recommender
from online.impressions import impression_of
from shared import keys, store, trending
from shared.config import Config, OnlineConfig, RedisConfig, TrendingConfig
from shared.events import Impression, Play
from shared.trending import PARTS, Trending
from tests.nearline.trending_log import IMPRESSIONS, MINUTE_MS, NOW_MS, PLAYS, arrived, page_of, start
from tests.online.snapshot_builder import build_snapshot, write_snapshot

pytestmark = pytest.mark.slow


@dataclass
class Bench:
    """Counters and publishers of one namespace."""

    config: Config
    client: redis.Redis
    offset: int = 0

    def count(self, *batch: Play | Impression) -> None:
        counter = TrendingCounter(self.client, self.config, clock=lambda: NOW_MS)
        records: list[Arrived] = [arrived(self.offset + at, event) for at, event in enumerate(batch)]
        self.offset += len(batch)
        pairs = list(zip(records, batch, strict=True))
        counter.count_pages(IMPRESSIONS, [(record, event) for record, event in pairs if isinstance(event, Impression)])
        counter.count_starts(PLAYS, [(record, event) for record, event in pairs if isinstance(event, Play)])

    def publisher(self) -> TrendingPublisher:
        return TrendingPublisher(self.client, self.config)

    def published(self, country: str | None, part: str = "morning") -> Trending | None:
        blob = self.client.get(keys.trending(self.config.redis.namespace, country, part))
        return None if blob is None else trending.decode(bytes(blob))  # type: ignore[arg-type]


@pytest.fixture
def bench(stack: LocalStack) -> Iterator[Bench]:
    space = RedisConfig(url=stack.redis.url, namespace=f"t{uuid.uuid4().hex[:10]}")
    settings = TrendingConfig(publish_s=1.0, expire_s=30, titles=10, prior_strength=20.0, utc_offset_h={"JP": 9.0})
    config = Config(redis=space, trending=settings, online=OnlineConfig(log_impressions=False))
    with store.connect(config.redis) as client:
        yield Bench(config, client)


def shown_and_taken(pages: int, taken: dict[str, int], titles: int = 12, country: str = "US") -> list[Play | Impression]:
    """Pages that show the same titles, and so many takes of some of them."""
    found: list[Play | Impression] = []
    for number in range(pages):
        member, page = f"{country}{number}", f"{country}-page{number}"
        found.append(page_of(member, page, [f"t{title}" for title in range(titles)], country=country))
        found += [start(member, title, page, country=country) for title, count in taken.items() if number % pages < count]
    return found


def test_what_is_counted_is_published_with_its_estimates(bench: Bench) -> None:
    bench.count(*shown_and_taken(60, {"t3": 30, "t5": 12}), *shown_and_taken(40, {"t5": 20, "t3": 4}, country="JP"))
    assert bench.publisher().publish(NOW_MS) == 3
    here = bench.published("US")
    assert here is not None
    first, second = here.titles
    assert (first.title_id, first.impressions, first.takes, first.starts) == ("t3", 60.0, 30.0, 30.0)
    assert second.title_id == "t5"
    assert 0.0 < first.lower < first.rate < 0.5  # the prior holds it back
    assert first.deviation > 0
    assert here.made_at_ms == NOW_MS
    there, everywhere = bench.published("JP", "afternoon"), bench.published(None)
    assert there is not None and everywhere is not None
    assert [title.title_id for title in there.titles] == ["t5", "t3"]
    assert [title.title_id for title in everywhere.titles] == ["t3", "t5"]  # in places where it is morning
    assert bench.published("JP") is None


def test_windows_that_change_are_read_again_and_the_rest_is_remembered(bench: Bench) -> None:
    reader = CounterReader(bench.client, bench.config)
    old_ms = NOW_MS - 20 * 60 * MINUTE_MS
    steps: list[list[Play | Impression]] = [
        [start(f"m{number}", "t1", None) for number in range(30)],
        [start(f"m{number}", "t2", None, at_ms=old_ms) for number in range(30)],
        [page_of("m1", "late", ["t1", "t7"], at_ms=old_ms)],
    ]
    for step in steps:
        bench.count(*step)
        again, anew = reader.read(NOW_MS), CounterReader(bench.client, bench.config).read(NOW_MS)
        assert again.segments.keys() == anew.segments.keys()
        for segment, counts in again.segments.items():
            other = anew.segments[segment]
            for mine, theirs in ((counts.impressions, other.impressions), (counts.starts, other.starts)):
                found, expected = dict(zip(again.title_ids, mine, strict=True)), dict(zip(anew.title_ids, theirs, strict=True))
                assert found == expected
    evening = dict(zip(again.title_ids, again.segments["US/2"].starts, strict=True))
    # Twenty windows ago, of which the last has just ended: 19 h 53 min at a half-life of 12 h.
    assert evening["t2"] == pytest.approx(30 * 0.5 ** ((19 + 53 / 60) / 12))


def test_one_of_two_workers_publishes_and_the_other_takes_over(bench: Bench) -> None:
    bench.count(start("a", "t1", None))
    first, second = bench.publisher(), bench.publisher()
    assert (first.publish(NOW_MS), second.publish(NOW_MS), first.publish(NOW_MS)) == (2, 0, 2)
    first.close()
    assert (second.publish(NOW_MS), first.publish(NOW_MS)) == (2, 0)
    lease = keys.trending_lease(bench.config.redis.namespace)
    assert 0 < bench.client.pttl(lease) <= 3000  # one that dies is followed within three publishes


def test_the_service_goes_on_publishing(bench: Bench) -> None:
    everywhere = [keys.trending(bench.config.redis.namespace, None, part) for part in PARTS]

    async def run() -> None:
        task = asyncio.create_task(bench.publisher().run())
        for _ in range(2):
            async with asyncio.timeout(10):
                while not await asyncio.to_thread(bench.client.exists, *everywhere):
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(bench.client.delete, *everywhere)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


def titles_of(page: Page, key: str) -> list[str]:
    return [cell.title_id for row in page.rows if row.key == key for cell in row.cells]


def test_what_members_take_from_their_pages_leads_the_trending_row_of_others(bench: Bench) -> None:
    write_snapshot(bench.client, bench.config.redis.namespace, "v1", build_snapshot(members=3))
    with Recommender(bench.config) as recommender:
        before = recommender.page("nobody", country="US", now_ms=NOW_MS)
        hot = titles_of(before, "trending")[-1]
        events: list[Play | Impression] = []
        for number in range(80):
            page = recommender.page(f"member{number}", country="US", now_ms=NOW_MS)
            events.append(impression_of(page))
            if number < 40:
                events.append(start(page.member_id, hot, page.page_id))
        bench.count(*events)
        assert bench.publisher().publish(NOW_MS) == 2
        after = recommender.page("nobody", country="US", now_ms=NOW_MS)
        assert titles_of(after, "trending")[0] == hot
        assert titles_of(after, "trending")[1:] == titles_of(before, "trending")[:-1]
        row = next(row for row in after.rows if row.key == "trending")
        assert [cell.evidence for cell in row.cells[:2]] == ["trending in US this morning", "trending now"]
        assert after.fallbacks == before.fallbacks
        later = recommender.page("nobody", country="US", now_ms=NOW_MS + 31_000)  # nearline is down
        assert titles_of(later, "trending") == titles_of(before, "trending")
        abroad = recommender.page("nobody", country="GB", now_ms=NOW_MS)
        assert hot not in titles_of(abroad, "trending")[:1]
