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
RETRIEVALS = metrics.counter(LAYER, "retrievals", "Members retrieved for, by what became of it", ["outcome"])
RETRIEVAL_SECONDS = metrics.seconds(LAYER, "retrieval_seconds", "From a signal to fresh candidates in Redis")
RETRIEVAL_QUEUE = metrics.gauge(LAYER, "retrieval_queue_members", "Members in memory to retrieve for")
RETRIEVAL_DROPPED = metrics.counter(LAYER, "retrieval_dropped", "Signals left waiting in Redis because the queue was full")
TRENDING_COUNTED = metrics.counter(LAYER, "trending_counted", "Impressions of cells, takes and starts counted", ["kind"])
TRENDING_LATE = metrics.counter(LAYER, "trending_late", "Starts and pages outside of the windows that are counted", ["kind"])
TRENDING_SECONDS = metrics.seconds(LAYER, "trending_publish_seconds", "From the counters to what is trending, published")
TRENDING_PUBLISHED = metrics.gauge(LAYER, "trending_published_seconds", "When this worker last published what is trending")
TRENDING_FAILURES = metrics.counter(LAYER, "trending_publish_failures", "Attempts to publish what is trending that failed")
FRESHNESS = metrics.histogram(
    LAYER,
    "freshness_seconds",
    "From an event's arrival at Kafka to its effect in Redis",
    ["topic"],
    buckets=(
        *(0.001, 0.002, 0.003, 0.004, 0.005, 0.0065, 0.008, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08),
        *(0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86_400.0),
    ),
)
"""Fine where the targets lie (a median of 20 ms, a 99th percentile of 100 ms), coarse where an event is late anyway."""
RESTARTS = metrics.gauge(LAYER, "restarts", "How often this worker was started again, counted in Redis", ["instance"])
RECORDS_EXPIRED = metrics.counter(LAYER, "records_expired", "Records that Kafka deleted before they were read", ["topic"])
READY = metrics.gauge(LAYER, "ready", "1 once this worker has its partitions and has caught up")
