"""What the online layer counts and times, for Prometheus. The program that embeds it decides how to show them."""

from collections.abc import Mapping, Sequence

from shared import metrics
from shared.pages.answers import Fallback

REQUESTS = metrics.counter("online", "requests", "Requests answered, by call and the best tier of the answer.", ["call", "tier"])
FALLBACKS = metrics.counter("online", "fallbacks", "Things that requests had to do without, by reason.", ["code"])
STAGES = metrics.seconds("online", "stage_seconds", "Time that each stage of a request took.", ["stage"])
IMPRESSIONS = metrics.counter("online", "impressions", "Pages shown, by what became of their impression.", ["outcome"])
FEEDBACK = metrics.counter("online", "feedback", "Feedback taken over HTTP, by what became of it.", ["outcome"])
HTTP = metrics.counter("online", "http_requests", "HTTP requests, by route and status.", ["route", "status"])
HTTP_SECONDS = metrics.seconds("online", "http_seconds", "Time from an HTTP request to its whole reply, by route.", ["route"])


def count(call: str, tier: str, fallbacks: Sequence[Fallback], seconds: Mapping[str, float]) -> None:
    """Count a request and time its stages."""
    REQUESTS.labels(call, tier).inc()
    for fallback in fallbacks:
        FALLBACKS.labels(fallback.code).inc()
    for stage, took_s in seconds.items():
        STAGES.labels(stage).observe(took_s)
