"""How old events are when their effect is in Redis, from their arrival at Kafka: what the freshness percentiles are made of."""

import time
from collections.abc import Sequence

from nearline import metrics
from nearline.records import Record

SAMPLES = 8
"""Of a batch so many records are observed, spread evenly over it: enough for percentiles, and no cost per event."""


def observe(topic: str, records: Sequence[Record], now_ms: float | None = None) -> None:
    """Count the ages of a batch whose effect has just come into Redis.

    Parameters
    ----------
    now_ms : Unix milliseconds; None takes the clock. A producer's clock that is ahead counts as no age.
    """
    now_ms = time.time() * 1000.0 if now_ms is None else now_ms
    ages = metrics.FRESHNESS.labels(topic)
    last = len(records) - 1
    for place in sorted({round(number * last / (SAMPLES - 1)) for number in range(SAMPLES)}) if records else ():
        arrived_at_ms = records[place].timestamp
        if arrived_at_ms is not None:
            ages.observe(max(0.0, now_ms - arrived_at_ms) / 1000.0)
