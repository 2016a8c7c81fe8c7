"""Counts what has come into Redis, for the metrics of all topics alike."""

import time
from collections.abc import Sequence

from nearline import metrics
from nearline.records import Record
from nearline.watching import freshness


def note(topic: str, records: Sequence[Record], effective: int, began_s: float) -> None:
    """Count a batch whose effect has just come into Redis.

    Parameters
    ----------
    effective : how many of its records were readable and new.
    began_s : `time.perf_counter()` when the batch was in hand.
    """
    freshness.observe(topic, records)
    metrics.EVENTS.labels(topic).inc(effective)
    metrics.BATCHES.labels(topic).inc()
    metrics.BATCH_SECONDS.labels(topic).observe(time.perf_counter() - began_s)
