"""What the worker counts, for prometheus."""

from shared import metrics

LAYER = "nearline"

EVENTS = metrics.counter(LAYER, "events", "Events whose effect is in Redis", ["topic"])
SEEN = metrics.counter(LAYER, "events_seen", "Events that were in the state already, and were dropped", ["topic"])
BATCHES = metrics.counter(LAYER, "batches", "Batches flushed", ["topic"])
DEAD_LETTERS = metrics.counter(LAYER, "dead_letters", "Records that could not be read", ["topic"])
CONFLICTS = metrics.counter(LAYER, "conflicts", "States folded again because somebody else had moved them")
CACHE_HITS = metrics.counter(LAYER, "cache_hits", "Members of a batch whose state was in memory")
CACHE_MISSES = metrics.counter(LAYER, "cache_misses", "Members of a batch whose state was read from Redis")
RETRIES = metrics.counter(LAYER, "redis_retries", "Flushes tried again after an error of Redis")
BATCH_SECONDS = metrics.seconds(LAYER, "batch_seconds", "From a batch in hand to its effect in Redis", ["topic"])
LAG = metrics.gauge(LAYER, "lag_records", "Records in this worker's partitions that are not yet in Redis", ["topic"])
