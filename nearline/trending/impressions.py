"""The impressions' side of trending: a batch of pages in, their cells counted in Redis out; then the caller acknowledges."""

import logging
import time
from collections.abc import Sequence

from nearline import metrics
from nearline.dead_letters.letters import DeadLetter, DeadLetters
from nearline.records import Place, Record, Source
from nearline.states.watermarks import Watermarks
from nearline.trending.counting import TrendingCounter
from nearline.watching import freshness
from shared.errors import EventError
from shared.events import Impression

log = logging.getLogger(__name__)


class ImpressionsWriter:
    """Counts pages. Has the contract of `nearline.records.Writer`.

    Parameters
    ----------
    watermarks : must know the epoch of the impressions topic.
    """

    def __init__(self, counter: TrendingCounter, watermarks: Watermarks, dead_letters: DeadLetters) -> None:
        self._counter = counter
        self._watermarks = watermarks
        self._dead_letters = dead_letters

    def write(self, source: Source, records: Sequence[Record]) -> dict[Place, int]:
        """Count the cells of some pages, each partition's in the order of its offsets.

        Returns
        -------
        For each partition the offset after its last record: what may now be committed.

        Raises
        ------
        LostWritesError : Redis came back with less than was written to it.
        redis.RedisError, UnavailableError : Redis or Kafka failed; nothing may be acknowledged, the batch may be repeated.
        """
        began_s = time.perf_counter()
        reached = {Place(source.topic, record.partition): record.offset + 1 for record in records}
        self._watermarks.check(reached)
        pages, unreadable = decode(source, records)
        self._counter.count_pages(source, pages)
        self._dead_letters.send(unreadable)
        self._watermarks.advance(reached)
        freshness.observe(source.topic, records)
        metrics.EVENTS.labels(source.topic).inc(len(pages))
        metrics.DEAD_LETTERS.labels(source.topic).inc(len(unreadable))
        metrics.BATCHES.labels(source.topic).inc()
        metrics.BATCH_SECONDS.labels(source.topic).observe(time.perf_counter() - began_s)
        for letter in unreadable[:3]:
            log.warning("dead letter %s/%d@%d: %s", letter.topic, letter.partition, letter.offset, letter.reason)
        return reached


def decode(source: Source, records: Sequence[Record]) -> tuple[list[tuple[Record, Impression]], list[DeadLetter]]:
    """The pages that can be read, in their order, and the rest."""
    pages: list[tuple[Record, Impression]] = []
    unreadable: list[DeadLetter] = []
    for record in records:
        try:
            pages.append((record, source.decode(record.value, record.key, record.timestamp)))
        except EventError as error:
            place = (source.topic, source.epoch, record.partition, record.offset)
            unreadable.append(DeadLetter.of(*place, key=record.key, value=record.value, reason=str(error)))
    return pages, unreadable
