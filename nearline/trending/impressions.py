"""The impressions' side of trending: a batch of pages in, their cells counted in Redis out; then the caller acknowledges."""

import time
from collections.abc import Sequence

from nearline.dead_letters.letters import DeadLetter, DeadLetters
from nearline.records import Place, Record, Source, offsets_after
from nearline.states.watermarks import Watermarks
from nearline.trending.counting import TrendingCounter
from nearline.watching import flushes
from shared.errors import EventError
from shared.events import Impression


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
        """Count the cells of some pages, each partition's in the order of its offsets; see `Writer.write`.

        Raises
        ------
        LostWritesError : Redis came back with less than was written to it.
        """
        began_s = time.perf_counter()
        reached = offsets_after(source.topic, records)
        self._watermarks.check(reached)
        pages, unreadable = decode(source, records)
        self._counter.count_pages(source, pages)
        self._dead_letters.send(unreadable)
        self._watermarks.advance(reached)
        flushes.note(source.topic, records, len(pages), began_s)
        return reached


def decode(source: Source, records: Sequence[Record]) -> tuple[list[tuple[Record, Impression]], list[DeadLetter]]:
    """The pages that can be read, in their order, and the rest."""
    pages: list[tuple[Record, Impression]] = []
    unreadable: list[DeadLetter] = []
    for record in records:
        try:
            pages.append((record, source.decode(record.value, record.key, record.timestamp)))
        except EventError as error:
            unreadable.append(DeadLetter.of_record(source, record, str(error)))
    return pages, unreadable
