"""Requests are counted some at a time, and none is missing when somebody looks."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest

from online import metrics
from shared.metrics import LATENCY_BUCKETS_S, Durations
from shared.pages.answers import Fallback

SECONDS = {"fetch": 0.0004, "rank": 0.002}


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"marquee_online_{name}", labels) or 0.0


def test_many_durations_at_once_are_what_they_are_one_by_one() -> None:
    seconds = [0.0, 0.001, 0.0011, 10.0, 11.0, *np.random.default_rng(3).lognormal(-5, 3, 500).tolist()]
    shown = []
    for kind in (Histogram, Durations):
        registry = CollectorRegistry()
        children = kind("took_seconds", "Time.", ["stage"], buckets=LATENCY_BUCKETS_S, registry=registry)
        if isinstance(children, Durations):
            children.labels("rank").observe_all(seconds)
        else:
            for each in seconds:
                children.labels("rank").observe(each)
        text = generate_latest(registry).decode()
        shown.append([line for line in text.splitlines() if "_created" not in line and "_sum" not in line])
        total = registry.get_sample_value("took_seconds_sum", {"stage": "rank"})
        assert total is not None and np.isclose(total, sum(seconds))
    assert shown[0] == shown[1] and len(shown[0]) > len(LATENCY_BUCKETS_S)


def test_who_looks_sees_the_last_request() -> None:
    before = counted("requests_total", call="page", tier="seen")
    fell_back = counted("fallbacks_total", code="seen")
    ranked = counted("stage_seconds_count", stage="rank")
    for number in range(1, 4):
        metrics.count("page", "seen", (Fallback("seen", "why"),) * 2, SECONDS)
        assert counted("requests_total", call="page", tier="seen") == before + number
    assert counted("fallbacks_total", code="seen") == fell_back + 6
    assert counted("stage_seconds_count", stage="rank") == ranked + 3


def test_waiting_requests_are_bounded() -> None:
    counted("requests_total", call="page", tier="many")
    for _ in range(metrics.BATCH):
        metrics.count("page", "many", (), SECONDS)
    assert metrics.REQUESTS.labels("page", "many")._value.get() == metrics.BATCH


def test_requests_of_many_threads_are_all_counted() -> None:
    def ask(thread: int) -> None:
        for _ in range(1001):
            metrics.count("page", f"thread-{thread % 2}", (), SECONDS)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert counted("requests_total", call="page", tier="thread-0") == 4 * 1001
    assert counted("requests_total", call="page", tier="thread-1") == 4 * 1001


def test_a_forked_child_counts_its_own_requests_only() -> None:
    counted("requests_total", call="page", tier="forked")
    metrics.count("page", "forked", (), SECONDS)
    results, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            metrics.count("page", "child", (), SECONDS)
            found = [counted("requests_total", call="page", tier=tier) for tier in ("forked", "child")]
            os.write(told, repr(found).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(results, 100) == b"[0.0, 1.0]"
    os.close(results)
    os.close(told)
    assert counted("requests_total", call="page", tier="forked") == 1
