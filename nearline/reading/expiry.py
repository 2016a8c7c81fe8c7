"""Tells of records that Kafka deleted before a worker had read them: their effect is missing."""

import logging

from nearline import metrics
from nearline.records import Place

log = logging.getLogger(__name__)


def note_expired(place: Place, position: int, log_start: int) -> int:
    """Say so when a partition's log begins behind the offset that was to be read next; how many offsets are gone.

    Parameters
    ----------
    position : the offset that the worker wanted to go on from.
    log_start : the first offset that Kafka still has.
    """
    gone = max(0, log_start - position)
    if gone:
        metrics.RECORDS_EXPIRED.labels(place.topic).inc(gone)
        log.error(
            "Kafka's retention deleted %d records of %s/%d before they were read (offsets %d to %d): the states lack them; "
            "`python -m offline replay` brings back those that ingest has landed",
            *(gone, place.topic, place.partition, position, log_start - 1),
        )
    return gone
