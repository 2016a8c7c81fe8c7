"""Trending on a real Redis: everything counted once, whatever comes first, twice, late, or from two workers."""

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import redis

from infra.local.stack import LocalStack
from nearline import metrics
from nearline.dead_letters.letters import DeadLetters
from nearline.following import Batch
from nearline.records import Arrived, Place, Record, Source
from nearline.states.watermarks import Watermarks
from nearline.states.writer import StateWriter
from nearline.trending import ImpressionsWriter, StartsFollower, TrendingCounter
from nearline.trending.shards import cell_code
from shared import events, store
from shared.config import Config, RedisConfig, TrendingConfig
from shared.errors import UnavailableError
from shared.events import Impression, Play
from shared.store import StateStore
from tests.nearline.trending_log import (
    IMPRESSIONS,
    MINUTE_MS,
    NOW_MS,
    PLAYS,
    TrendingLog,
    arrived,
    counts_in_redis,
    page_of,
    start,
)

pytestmark = pytest.mark.slow


@dataclass
class Bench:
    """Counters of one namespace, as many as one likes."""

    config: Config
    client: redis.Redis

    def counter(self) -> TrendingCounter:
        return TrendingCounter(self.client, self.config, clock=lambda: NOW_MS)

    def count(self, *batch: Play | Impression, offset: int = 0, counter: TrendingCounter | None = None) -> None:
        """Count some events of one partition, of the one topic or the other."""
        counter = counter or self.counter()
        plays = [(arrived(offset + at, event), event) for at, event in enumerate(batch) if isinstance(event, Play)]
        pages = [(arrived(offset + at, event), event) for at, event in enumerate(batch) if isinstance(event, Impression)]
        counter.count_starts(PLAYS, plays)
        counter.count_pages(IMPRESSIONS, pages)

    def counts(self) -> dict[str, int]:
        """What is counted, the windows together: field to count."""
        found: dict[str, int] = {}
        for (_, name), count in counts_in_redis(self.client, self.config).items():
            found[name] = found.get(name, 0) + count
        return found

    def forget(self, kind: str) -> None:
        """What expires by itself when its time is over."""
        for key in list(self.client.scan_iter(match=f"{self.config.redis.namespace}:*:{kind}:*", count=1000)):
            self.client.delete(key)


@pytest.fixture
def bench(stack: LocalStack) -> Iterator[Bench]:
    trending = TrendingConfig(shards=3, windows=8, utc_offset_h={"US": -5.0, "IN": 5.5, "DE": 1.0})
    space = RedisConfig(url=stack.redis.url, namespace=f"t{uuid.uuid4().hex[:10]}")
    config = Config(redis=space, kafka=stack.config.kafka, trending=trending)
    with store.connect(config.redis) as client:
        yield Bench(config, client)


def deliver(bench: Bench, log: TrendingLog, seed: int) -> None:
    """Give the log to two workers in pieces that overlap, with pieces of long ago among them."""
    draw = random.Random(seed)
    counters = [bench.counter(), bench.counter()]
    sent: list[tuple[Source, list[tuple[Record, Play | Impression]]]] = []
    reached = dict.fromkeys([(source.topic, partition) for source in (PLAYS, IMPRESSIONS) for partition in range(3)], 0)
    while True:
        waiting = [
            (source, partition, found)
            for source, held in ((PLAYS, log.plays), (IMPRESSIONS, log.pages))
            for partition, found in held.items()
            if reached[source.topic, partition] < len(found)
        ]
        if not waiting:
            return
        source, partition, found = draw.choice(waiting)
        at = reached[source.topic, partition]
        first, last = max(0, at - draw.randrange(8)), min(len(found), at + draw.randrange(1, 9))
        batch: list[tuple[Record, Play | Impression]] = [
            (arrived(offset, found[offset], partition), found[offset]) for offset in range(first, last)
        ]
        reached[source.topic, partition] = last
        sent.append((source, batch))
        again = [draw.choice(sent)] if draw.random() < 0.3 else []
        for origin, piece in [sent[-1], *again]:
            count = draw.choice(counters)
            (count.count_starts if origin is PLAYS else count.count_pages)(origin, piece)  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(8))
def test_any_order_any_pieces_and_any_repeats_count_the_same(bench: Bench, seed: int) -> None:
    log = TrendingLog.invented(seed)
    deliver(bench, log, seed)
    expected = log.oracle(bench.config)
    assert counts_in_redis(bench.client, bench.config) == expected
    kinds = {kind: sum(count for (_, name), count in expected.items() if f"/{kind}/" in name) for kind in "itp"}
    assert kinds["i"] > kinds["p"] > kinds["t"] > 10


def test_a_start_joins_its_page_whichever_comes_first_and_once(bench: Bench) -> None:
    for member, order in (("a", (0, 1, 0, 1)), ("b", (1, 0, 1, 0))):
        both = [page_of(member, f"page-{member}", ["t1", "t2", "t1"]), start(member, "t1", f"page-{member}")]
        for at, which in enumerate(order):
            bench.count(both[which], offset=10 * at + 100 * (member == "b"))
    assert bench.counts() == {"US/0/i/t1": 2, "US/0/i/t2": 2, "US/0/t/t1": 2, "US/0/p/t1": 2}


def test_only_what_the_page_showed_to_this_member_lately_is_taken(bench: Bench) -> None:
    at_ms = NOW_MS - 200 * MINUTE_MS
    bench.count(page_of("a", "page", ["t1", "t2", "t3"], at_ms=at_ms))
    bench.count(
        start("a", "t9", "page", at_ms=at_ms),
        *[start(f"b{other}", "t1", "page", at_ms=at_ms) for other in range(12)],
        start("a", "t2", "page", at_ms=at_ms + 121 * MINUTE_MS),
        start("a", "t3", "page", at_ms=at_ms + 120 * MINUTE_MS),
    )
    assert {name for name in bench.counts() if "/t/" in name} == {"US/0/t/t3"}


def test_a_title_whose_code_lies_across_two_cells_is_not_taken(bench: Bench) -> None:
    codes = {f"t{number}": cell_code(f"t{number}").to_bytes(4, "big") for number in range(5000)}
    ends, begins = ({code[half]: title for title, code in codes.items()} for half in (slice(2, 4), slice(0, 2)))
    absent, code = next((title, code) for title, code in codes.items() if code[:2] in ends and code[2:] in begins)
    shown = [ends[code[:2]], begins[code[2:]]]
    assert code in codes[shown[0]] + codes[shown[1]]
    bench.count(page_of("a", "page", shown), *[start("a", title, "page") for title in (absent, *shown)])
    assert {name for name in bench.counts() if "/t/" in name} == {f"US/0/t/{title}" for title in shown}


def test_a_late_page_counts_once_in_its_own_window_and_one_that_is_too_late_does_not(bench: Bench) -> None:
    late = metrics.TRENDING_LATE.labels("page")._value.get()
    old = page_of("a", "old", ["t1"], at_ms=NOW_MS - 6 * 60 * MINUTE_MS)
    bench.count(old, page_of("a", "older", ["t1"], at_ms=NOW_MS - 9 * 60 * MINUTE_MS))
    bench.forget("page")  # the starts' side of it has long expired
    bench.count(old, offset=50)
    window = old.at_ms // (60 * MINUTE_MS)
    assert counts_in_redis(bench.client, bench.config) == {(window, "US/3/i/t1"): 1}
    assert metrics.TRENDING_LATE.labels("page")._value.get() == late + 1
    bench.count(start("a", "t1", "new", at_ms=NOW_MS + 70 * MINUTE_MS))
    assert len(bench.counts()) == 1  # a clock that is wrong


def test_a_member_who_starts_a_title_many_times_counts_once_a_window(bench: Bench) -> None:
    bench.count(*[start("a", "t1", None, number=number) for number in range(50)], start("b", "t1", None))
    assert bench.counts() == {"US/0/p/t1": 2}


def test_the_fence_drops_what_comes_again_after_the_viewers_were_forgotten(bench: Bench) -> None:
    plays = [start(f"m{at}", "t1", None) for at in range(20)]
    bench.count(*plays)
    bench.forget("starts")
    for first in (0, 3, 11):
        bench.count(*plays[first : first + 9], offset=first)
    assert bench.counts() == {"US/0/p/t1": 20}


def test_a_worker_that_goes_on_late_adds_only_what_its_successor_has_not_counted(bench: Bench) -> None:
    plays = [start(f"m{at}", "t1", None) for at in range(30)]
    zombie, successor = bench.counter(), bench.counter()
    bench.count(*plays[:10], counter=zombie)
    bench.count(*plays[5:20], offset=5, counter=successor)
    bench.forget("starts")
    bench.count(*plays[8:25], offset=8, counter=zombie)
    bench.count(*plays[20:], offset=20, counter=successor)
    assert bench.counts() == {"US/0/p/t1": 30}


class Dies:
    """A follower behind trending's: the process ends between the counting and the watermark."""

    def follow(self, batch: Batch) -> None:
        raise UnavailableError("killed")


def test_a_crash_between_counting_and_watermark_counts_once(bench: Bench) -> None:
    def writer(*more: Dies) -> StateWriter:
        space = bench.config.redis.namespace
        marks = Watermarks(bench.client, space, {"plays": 1})
        followers = [StartsFollower(bench.counter(), "plays"), *more]
        return StateWriter(StateStore(bench.client, space), marks, DeadLetters(bench.config.kafka), 1 << 20, followers)

    records = [arrived(at, start(f"m{at % 7}", f"t{at}", None, number=at)) for at in range(40)]
    writer().write(PLAYS, records[:10])
    with pytest.raises(UnavailableError):
        writer(Dies()).write(PLAYS, records[10:30])
    bench.forget("starts")  # it takes long until somebody starts the worker again
    for first in (10, 17, 33):
        writer().write(PLAYS, records[first : first + 16])
    assert bench.counts() == {f"US/0/p/t{at}": 1 for at in range(40)}


def test_the_impressions_writer_counts_once_and_moves_the_watermark(bench: Bench) -> None:
    marks = Watermarks(bench.client, bench.config.redis.namespace, {"impressions": 1})
    writer = ImpressionsWriter(bench.counter(), marks, DeadLetters(bench.config.kafka))
    batch = [arrived(at, page_of(f"m{at}", f"page{at}", ["t1", "t2"])) for at in range(5)]
    for _ in range(2):
        assert writer.write(IMPRESSIONS, batch) == {Place("impressions", 0): 5}
    assert bench.counts() == {"US/0/i/t1": 5, "US/0/i/t2": 5}
    assert marks.resume(Place("impressions", 0), 9) == 5


def test_a_page_written_before_countries_were_logged_counts_for_an_unknown_one(bench: Bench) -> None:
    whole = events.encode(page_of("a", "page", ["t1"], country=None))
    old = whole.replace(b',"country":null,"device":"tv"', b"")
    assert old != whole
    page = events.decode_impression(old, b"a")
    bench.counter().count_pages(IMPRESSIONS, [(Arrived(0, 1, None, b"a", old), page)])
    assert bench.counts() == {"/1/i/t1": 1}


def test_a_flushed_script_cache_and_a_topic_created_anew_do_no_harm(bench: Bench) -> None:
    counter = bench.counter()
    bench.count(start("a", "t1", None), offset=7, counter=counter)
    bench.client.script_flush()
    bench.count(start("b", "t1", None), offset=8, counter=counter)
    anew: Sequence[tuple[Record, Play]] = [(arrived(0, start("c", "t1", None)), start("c", "t1", None))]
    counter.count_starts(Source("plays", 2, events.decode_play), anew)
    assert bench.counts() == {"US/0/p/t1": 3}


def test_all_that_is_kept_for_joining_expires(bench: Bench) -> None:
    counter = TrendingCounter(bench.client, bench.config)  # by the real clock, which Redis expires by
    now_ms = int(bench.client.time()[0]) * 1000
    bench.count(page_of("a", "page", ["t1"], at_ms=now_ms), start("a", "t1", "page", at_ms=now_ms), counter=counter)
    kept_s = bench.config.trending.windows * 3600
    for key in bench.client.scan_iter(match=f"{bench.config.redis.namespace}:*", count=1000):
        left_s = bench.client.ttl(key)
        if key.endswith(b":fence"):
            assert left_s == -1
        elif b":page:" in key or b":starts:" in key:
            assert 0 < left_s <= 2 * bench.config.trending.join_s
        else:
            assert kept_s - 3600 <= left_s <= kept_s
