"""Publishes what is trending every few seconds, from one worker at a time.

Any worker may call `publish`; a lease in Redis lets one of them do the work. Should a worker that was stopped for longer than
its lease publish late, that is an older view of the same counters, and the next publish replaces it.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator

import redis
import redis.exceptions

from nearline import metrics
from nearline.trending.estimating import Counts, estimate
from nearline.trending.totals import CounterReader, Totals
from nearline.trending.windows import Windows, place_of
from shared import keys, trending
from shared.config import Config
from shared.errors import UnavailableError
from shared.trending import Part, Trending, TrendingTitle

_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

log = logging.getLogger(__name__)


class TrendingPublisher:
    """Makes what is trending from the counters. Called from one thread at a time."""

    def __init__(self, client: redis.Redis, config: Config) -> None:
        self._client = client
        self._config = config
        self._windows = Windows(config.trending)
        self._reader = CounterReader(client, config)
        self._name = uuid.uuid4().hex

    async def run(self) -> None:
        """Publish until cancelled. A failure of Redis is logged; the next attempt may do better."""
        while True:
            try:
                await asyncio.to_thread(self.publish)
            except (redis.exceptions.RedisError, UnavailableError) as error:
                metrics.TRENDING_FAILURES.inc()
                log.warning("what is trending could not be published: %s", error)
            await asyncio.sleep(self._config.trending.publish_s)

    def publish(self, now_ms: int | None = None) -> int:
        """Publish for every country that has counts and for all together; how many were published, 0 while another worker does.

        The present part of the day is published, and the one that begins before the next publish is due.

        Raises
        ------
        redis.RedisError : Redis failed; what was published before stays until it expires.
        """
        settings, namespace = self._config.trending, self._config.redis.namespace
        lease_ms = int(3000 * settings.publish_s)
        if not self._client.eval(_HOLD, 1, keys.trending_lease(namespace), self._name, lease_ms):
            return 0
        began_s = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        totals = self._reader.read(now_ms)
        pipeline = self._client.pipeline(transaction=False)
        published = 0
        for found in self._trending(totals, now_ms):
            pipeline.set(keys.trending(namespace, found.country, found.part), trending.encode(found), ex=settings.expire_s)
            published += 1
        pipeline.execute()
        metrics.TRENDING_SECONDS.observe(time.perf_counter() - began_s)
        metrics.TRENDING_PUBLISHED.set_to_current_time()
        return published

    def close(self) -> None:
        """Give the lease back, so that another worker goes on at once."""
        name = keys.trending_lease(self._config.redis.namespace)
        self._client.eval("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end", 1, name, self._name)

    def _trending(self, totals: Totals, now_ms: int) -> Iterator[Trending]:
        everything = totals.sum(iter(totals.segments))
        countries = sorted({country for segment in totals.segments if (country := place_of(segment)[0]) is not None})
        next_ms = now_ms + int(2000 * self._config.trending.publish_s)
        for country in (None, *countries):
            for part in {self._windows.part(country, now_ms), self._windows.part(country, next_ms)}:
                if country is None:
                    own = totals.sum(segment for segment in totals.segments if place_of(segment)[1] == part)
                else:
                    own = totals.sum(segment for segment in totals.segments if place_of(segment) == (country, part))
                yield self._estimated(totals, country, part, own, everything - own, now_ms)

    def _estimated(self, totals: Totals, country: str | None, part: Part, own: Counts, others: Counts, now_ms: int) -> Trending:
        settings = self._config.trending
        best = estimate(own, others, settings.prior_strength, settings.credibility, settings.titles)
        return Trending(
            made_at_ms=now_ms,
            country=country,
            part=part,
            titles=tuple(
                TrendingTitle(
                    title_id=totals.title_ids[title],
                    score=float(best.score[place]),
                    rate=float(best.rate[place]),
                    deviation=float(best.deviation[place]),
                    lower=float(best.lower[place]),
                    impressions=float(own.impressions[title]),
                    takes=float(own.takes[title]),
                    starts=float(own.starts[title]),
                )
                for place, title in enumerate(best.titles.tolist())
            ),
        )
