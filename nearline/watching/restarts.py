"""Counts how often a worker was started again, where the count outlives the process."""

import redis

from nearline import metrics
from shared import keys

UNNAMED = "unnamed"


def note_start(client: redis.Redis, namespace: str, instance: str | None) -> int:
    """Count a start in Redis and show the restarts among the metrics; how often it was started before.

    Parameters
    ----------
    instance : the worker's lasting name; all that have none are counted together.
    """
    name = instance or UNNAMED
    before = client.hincrby(keys.starts(namespace), name, 1) - 1
    metrics.RESTARTS.labels(name).set(before)
    return before
