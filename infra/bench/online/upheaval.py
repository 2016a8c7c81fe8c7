"""Pages while the service is in motion: a publish, rollbacks, a state writer at full rate, a restart of Redis.

No call may fail, no page may mix two snapshots, and the 99th percentile of a call may be at most twice that of a quiet service.
Requests come at a steady rate, below what one thread sustains; how long after they were due they are answered is told, too, and
how long a bare round trip took at the same time: what Redis itself holds up, nobody who asks it can make good.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import Any

import msgspec
import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.bench.online import bare
from infra.bench.online.disturbing import Disturbance, publish, roll_back, write_states
from infra.bench.online.installing import install
from infra.bench.online.marked import MARKS, MarkedWorld, mixture
from infra.bench.online.server import client_core
from infra.bench.online.stage import Stage
from infra.bench.online.timing import in_turns, on_core
from infra.bench.report import Row
from online import Page, Recommender
from shared import store
from shared.config import Config

NAMESPACE = "moving"
MEMBERS, CANDIDATES = 2000, 1000
SECONDS = 10.0
LOAD = 0.3
"""Of what one thread sustains."""
P99_RATIO = 2.0
DOWN_S = 1.0
LOGGED = "Redis logging to this disk"
"""While its log keeps a disk busy, Redis answers nobody; what that does to the 99th percentile is the disk's. The phases that
write are therefore measured once more without the log, and those are judged."""


@dataclass
class Seen:
    """The pages of one phase."""

    took_s: list[float] = field(default_factory=list)  # the call
    trips_s: list[float] = field(default_factory=list)  # a bare round trip beside each call
    waited_s: list[float] = field(default_factory=list)  # from when it was due to its answer
    snapshots: set[str | None] = field(default_factory=set)
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """Of the calls."""
        return _p99_ms(self.took_s)


def measure(stage: Stage) -> list[Row]:
    """Each phase after a quiet one of its own."""
    world = replace(stage.world, members=MEMBERS, candidates=CANDIDATES)
    config = _config(stage)
    stage.say(f"  installing {MEMBERS:,} members for a service in motion …")
    with store.connect(config.redis) as client:
        for mark in reversed(MARKS):  # the first is served, the second can be rolled back to
            install(client, config, MarkedWorld(world, mark), mark)
    phases: dict[str, Callable[[], AbstractContextManager[object]]] = {
        f"publishing, {LOGGED}": lambda: Disturbance(publish, config, world),
        f"a state writer at full rate, {LOGGED}": lambda: Disturbance(write_states, config, world),
        "rollbacks": lambda: Disturbance(roll_back, config, world),
        "a restart of Redis": lambda: _restarting(stage),
        "publishing": lambda: Disturbance(publish, config, world),
        "a state writer at full rate": lambda: Disturbance(write_states, config, world),
    }
    rows: list[Row] = []
    with on_core(client_core()), Recommender(config) as recommender, stage.client() as client:
        client.set_retry(Retry(NoBackoff(), 0))

        def trip() -> object:
            return bare.round_trip(client, NAMESPACE)

        def page(number: int) -> Page:
            asking = stage.who(number)
            return recommender.page(f"m{number % MEMBERS}", device=asking.device, country=asking.country)

        rate = LOAD * in_turns({"page": page}, 500)["page"].per_s
        for what, disturbing in phases.items():
            if what == "publishing":
                client.config_set("appendonly", "no")
            quiet = _ask(page, trip, rate)
            with disturbing() as disturbance:
                seen = _ask(page, trip, rate)
            stage.say(f"  {what}: p99 {seen.p99_ms:.2f} ms, quiet {quiet.p99_ms:.2f} ms")
            rows.append(_row(what, seen, quiet, rate, getattr(disturbance, "per_s", None)))
    return rows


def _p99_ms(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99)) * 1000


def _config(stage: Stage) -> Config:
    config = stage.config()
    return msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, namespace=NAMESPACE))


def _ask(page: Callable[[int], Page], trip: Callable[[], object], rate: float) -> Seen:
    seen = Seen()
    began_s = time.perf_counter()
    for number in range(round(rate * SECONDS)):
        due_s = began_s + number / rate
        pause_s = due_s - time.perf_counter()
        if pause_s > 0:
            time.sleep(pause_s)
        began_trip_s = time.perf_counter()
        with suppress(redis.RedisError):  # while it restarts
            trip()
            seen.trips_s.append(time.perf_counter() - began_trip_s)
        called_s = time.perf_counter()
        try:
            answer = page(number)
        except Exception as error:  # none may: that is what is measured
            seen.faults.append(f"{type(error).__name__}: {error}")
            continue
        now_s = time.perf_counter()
        seen.took_s.append(now_s - called_s)
        seen.waited_s.append(now_s - due_s)
        seen.snapshots.add(answer.snapshot)
        seen.codes.update(fallback.code for fallback in answer.fallbacks)
        fault = mixture(answer) if answer.rows else "an empty page"
        if fault is not None:
            seen.faults.append(fault)
    return seen


@contextmanager
def _restarting(stage: Stage) -> Iterator[None]:
    """Stop Redis in good order, leave it down for a moment, and start it again, while the caller goes on."""

    def restart() -> None:
        time.sleep(SECONDS / 4)
        stage.server.stop()
        time.sleep(DOWN_S)
        stage.server.start()

    thread = Thread(target=restart, name="restarting")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _row(what: str, seen: Seen, quiet: Seen, rate: float, per_s: float | None) -> Row:
    ratio = seen.p99_ms / quiet.p99_ms
    codes = ", ".join(f"{code} {count}" for code, count in seen.codes.most_common(4)) or "none"
    faults = f"{len(seen.faults)} faults" + (f" ({seen.faults[0]})" if seen.faults else "")
    did = "" if per_s is None else f", {per_s:,.1f} of them a second"
    slowest_ms = max(seen.took_s) * 1000
    waited_ms, trip_ms, quiet_trip_ms = _p99_ms(seen.waited_s), _p99_ms(seen.trips_s), _p99_ms(quiet.trips_s)
    figure = (
        f"p99 {seen.p99_ms:.2f} ms, {ratio:.1f} × quiet ({quiet.p99_ms:.2f}), slowest {slowest_ms:.0f}, "
        f"p99 {waited_ms:.2f} after being due, "
        f"bare round trip {trip_ms:.2f} ({quiet_trip_ms:.2f}); "
        f"{len(seen.waited_s):,} pages, {rate:,.0f} a second{did}, {len(seen.snapshots)} snapshots, fallbacks {codes}, {faults}"
    )
    values: dict[str, Any] = {
        "p99_ms": seen.p99_ms,
        "quiet_p99_ms": quiet.p99_ms,
        "slowest_ms": slowest_ms,
        "waited_p99_ms": waited_ms,
        "trip_p99_ms": trip_ms,
        "quiet_trip_p99_ms": quiet_trip_ms,
        "pages": len(seen.waited_s),
        "codes": dict(seen.codes),
        "faults": seen.faults[:10],
        "per_s": per_s,
    }
    is_met = not seen.faults and ratio <= P99_RATIO
    if what.endswith(LOGGED):  # only that nothing fails is ours
        return Row(f"under {what}", figure, "no fault", not seen.faults, values)
    return Row(f"under {what}", figure, f"no fault, p99 ≤ {P99_RATIO:g} × quiet", is_met, values)
