"""What the online layer counts and times, for Prometheus. The program that embeds it decides how to show them.

Requests are counted some at a time, since doing it one by one costs six times as much.
"""

import functools
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

import prometheus_client
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared import metrics
from shared.pages.answers import Fallback

BATCH = 32
"""Requests that wait to be counted together."""

_Request = tuple[str, str, Sequence[Fallback], Mapping[str, float]]


class _Waiting(Collector):
    """Requests that are not counted yet; who collects the metrics has them counted first. Thread-safe and fork-safe."""

    def __init__(self) -> None:
        self._requests: deque[_Request] = deque()
        # Where another process may show what this one counts, it cannot have it counted.
        self._batch = 1 if "PROMETHEUS_MULTIPROC_DIR" in os.environ else BATCH
        REGISTRY.register(self)  # ahead of the metrics below, which are collected in the order of their registration
        os.register_at_fork(after_in_child=self._requests.clear)  # the parent counts them

    def add(self, request: _Request) -> None:
        self._requests.append(request)
        if len(self._requests) >= self._batch:
            self.count()

    def count(self) -> None:
        answers: Counter[tuple[str, str]] = Counter()
        codes: Counter[str] = Counter()
        stages: defaultdict[str, list[float]] = defaultdict(list)
        while True:
            try:
                call, tier, fallbacks, seconds = self._requests.popleft()
            except IndexError:
                break
            answers[call, tier] += 1
            for fallback in fallbacks:
                codes[fallback.code] += 1
            for stage, took_s in seconds.items():
                stages[stage].append(took_s)
        for labels, times in answers.items():
            _requests(*labels).inc(times)
        for code, times in codes.items():
            FALLBACKS.labels(code).inc(times)
        for stage, took in stages.items():
            _stage(stage).observe_all(took)

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        self.count()
        return iter(())


_waiting = _Waiting()

REQUESTS = metrics.counter("online", "requests", "Requests answered, by call and the best tier of the answer.", ["call", "tier"])
FALLBACKS = metrics.counter("online", "fallbacks", "Things that requests had to do without, by reason.", ["code"])
STAGES = metrics.seconds("online", "stage_seconds", "Time that each stage of a request took.", ["stage"])
IMPRESSIONS = metrics.counter("online", "impressions", "Pages shown, by what became of their impression.", ["outcome"])
FEEDBACK = metrics.counter("online", "feedback", "Feedback taken over HTTP, by what became of it.", ["outcome"])
HTTP = metrics.counter("online", "http_requests", "HTTP requests, by route and status.", ["route", "status"])
HTTP_SECONDS = metrics.seconds("online", "http_seconds", "Time from an HTTP request to its whole reply, by route.", ["route"])


@functools.cache
def _requests(call: str, tier: str) -> prometheus_client.Counter:
    return REQUESTS.labels(call, tier)


@functools.cache
def _stage(stage: str) -> metrics.Durations:
    return STAGES.labels(stage)


def count(call: str, tier: str, fallbacks: Sequence[Fallback], seconds: Mapping[str, float]) -> None:
    """Count a request and time its stages.

    Parameters
    ----------
    seconds : stage to what it took; not changed any more.
    """
    _waiting.add((call, tier, fallbacks, seconds))
