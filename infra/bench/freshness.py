"""How long a live play takes from Kafka's acknowledgement to the member's state, and to a page that shows it.

Plays come at a steady rate from kafka-python. A share of them is followed by polling: the state's fence in Redis, and the
public call `Recommender.page`. The bare round trip to the same Redis is measured in the same run, because nothing can be
faster than that.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import redis

from infra.bench.invented import install_snapshot
from infra.local.stack import LocalStack
from infra.local.worker import NearlineWorker
from shared import events, fence, keys, store
from shared.config import Config
from shared.errors import UnavailableError

MEMBERS = 500
TITLES = 1000
WARM_UP_S = 3.0
POLL_S = 0.001
GIVE_UP_S = 10.0
TARGET_S = 1.0

STATE, PAGE, ROUND_TRIP, CALL = "ack → state in Redis", "ack → changed page", "bare Redis round trip", "one page call"


@dataclass(frozen=True)
class Followed:
    """One play whose effect is waited for."""

    member_id: str
    title_id: str
    partition: int
    offset: int
    acked_at_s: float


@dataclass
class Report:
    """What was measured; `seconds` maps each figure's name to its samples."""

    rate: float
    sent: int = 0
    took_s: float = 0.0
    unseen: int = 0
    worker_cpu_s: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in (STATE, PAGE, CALL, ROUND_TRIP)})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, took_s: float) -> None:
        """Keep one sample."""
        with self.lock:
            self.seconds[name].append(took_s)

    def miss(self) -> None:
        """A play was never seen."""
        with self.lock:
            self.unseen += 1

    def quantiles_ms(self) -> dict[str, dict[str, float]]:
        """Of each figure: samples, p50, p90, p99, max."""
        return {
            name: {
                "samples": len(found),
                **{f"p{share}": float(np.percentile(found, share)) * 1000 for share in (50, 90, 99)},
                "max": max(found) * 1000,
            }
            for name, found in self.seconds.items()
            if found
        }


def measure(rate: float, seconds: float, samples: float) -> Report:
    """Run the benchmark on a stack of its own.

    Raises
    ------
    UnavailableError : the stack or the worker does not come up, or no play was ever seen.
    """
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder, LocalStack(Path(folder)) as stack:
        config = msgspec.structs.replace(stack.config, online=msgspec.structs.replace(stack.config.online, log_impressions=False))
        members = [f"m{number}" for number in range(MEMBERS)]
        with store.connect(config.redis) as client:
            install_snapshot(client, config.redis.namespace, config.online.arm, titles=TITLES, members=members)
            with NearlineWorker(stack.root / "marquee.toml") as worker:
                report = _run(config, client, members, rate, seconds, samples, worker)
    if not report.seconds[PAGE]:
        raise UnavailableError(f"not one of {report.sent} plays was seen within {GIVE_UP_S:g} s")
    return report


def _run(
    config: Config, client: redis.Redis, members: list[str], rate: float, seconds: float, samples: float, worker: NearlineWorker
) -> Report:
    import psutil

    from online import Recommender

    report = Report(rate)
    process = psutil.Process(worker.pid)
    with Recommender(config) as recommender, ThreadPoolExecutor(8) as watchers:
        _until(lambda: recommender.snapshot is not None, "the recommender did not load the snapshot")
        warmed = _send(config, members, WARM_UP_S, rate, samples, lambda followed: None)
        cpu_before = sum(process.cpu_times()[:2])
        began_s = time.perf_counter()

        def follow(followed: Followed) -> None:
            watchers.submit(_watch_state, config, client, followed, report)
            watchers.submit(_watch_page, recommender, followed, report)

        report.sent = _send(config, members, seconds, rate, samples, follow, warmed)
        report.took_s = time.perf_counter() - began_s
        report.worker_cpu_s = sum(process.cpu_times()[:2]) - cpu_before
        for _ in range(1000):
            at_s = time.perf_counter()
            client.hget(keys.state(config.redis.namespace, "nobody"), keys.FENCE_FIELD)
            report.add(ROUND_TRIP, time.perf_counter() - at_s)
    return report


def _send(
    config: Config,
    members: list[str],
    seconds: float,
    rate: float,
    samples: float,
    follow: Callable[[Followed], None],
    first: int = 0,
) -> int:
    """Send plays at the rate; `follow` some of them once Kafka has acknowledged them. How many were sent."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers.split(","), acks="all", linger_ms=0)
    every = max(1, round(rate / samples))
    count = int(rate * seconds)
    began_s = time.perf_counter()
    try:
        for number in range(count):
            place = first + number  # members take turns, each with a title it has not had before
            member, title = members[place % MEMBERS], f"t{place * (MEMBERS + 1) // MEMBERS % TITLES}"
            value = events.encode(_play(member, title, number))
            sent = producer.send(config.kafka.plays_topic, key=member.encode(), value=value)
            if number % every == 0:
                sent.add_callback(_acknowledged, member, title, follow)
            pause_s = began_s + (number + 1) / rate - time.perf_counter()
            if pause_s > 0:
                time.sleep(pause_s)
        producer.flush(timeout=30)
    finally:
        producer.close(timeout=10)
    return count


def _acknowledged(member: str, title: str, follow: Callable[[Followed], None], metadata: Any) -> None:
    follow(Followed(member, title, metadata.partition, metadata.offset, time.perf_counter()))


def _play(member: str, title: str, number: int) -> events.Play:
    return events.Play(
        schema=events.SCHEMA_VERSION,
        event_id=f"{time.time_ns()}-{number}",
        member_id=member,
        title_id=title,
        kind="progress",
        session_id=f"{member}-live",
        at_ms=time.time_ns() // 1_000_000,
        position_s=1800.0,
        runtime_s=5400.0,
        watched_s=60.0,
        device="tv",
        country="US",
    )


def _watch_state(config: Config, client: redis.Redis, followed: Followed, report: Report) -> None:
    """Poll the fence of the member's state until it has the play."""
    key, topic = keys.state(config.redis.namespace, followed.member_id), config.kafka.plays_topic

    def is_there() -> bool:
        at = fence.decode(client.hget(key, keys.FENCE_FIELD)).get(topic)  # type: ignore[arg-type]
        return at is not None and at.offset >= followed.offset

    _watch(is_there, followed, STATE, report)


def _watch_page(recommender: Any, followed: Followed, report: Report) -> None:
    """Ask for the page until it offers to continue the title that was played."""

    def is_shown() -> bool:
        at_s = time.perf_counter()
        page = recommender.page(followed.member_id, country="US")
        report.add(CALL, time.perf_counter() - at_s)
        return any(
            cell.title_id == followed.title_id for row in page.rows if row.key == "continue-watching" for cell in row.cells
        )

    _watch(is_shown, followed, PAGE, report)


def _watch(is_there: Callable[[], bool], followed: Followed, name: str, report: Report) -> None:
    while not is_there():
        if time.perf_counter() - followed.acked_at_s > GIVE_UP_S:
            return report.miss()
        time.sleep(POLL_S)
    return report.add(name, time.perf_counter() - followed.acked_at_s)


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline_s = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise UnavailableError(f"{otherwise} within {GIVE_UP_S:g} s")
        time.sleep(0.01)


def table(report: Report) -> str:
    """The figures as text."""
    found = report.quantiles_ms()
    lines = [
        f"{report.sent} plays in {report.took_s:.1f} s ({report.sent / report.took_s:.0f}/s), {os.cpu_count()} cores; "
        f"the worker used {report.worker_cpu_s / report.took_s:.0%} of one",
        "",
        f"{'milliseconds':<24}{'samples':>9}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}",
    ]
    for name, row in found.items():
        figures = "".join(f"{row[column]:9.2f}" for column in ("p50", "p90", "p99", "max"))
        lines.append(f"{name:<24}{row['samples']:>9}{figures}")
    met = "met" if found[PAGE]["p99"] < TARGET_S * 1000 and not report.unseen else "MISSED"
    lines += ["", f"target, {PAGE} p99 under {TARGET_S * 1000:.0f} ms: {met}; plays never seen: {report.unseen}"]
    return "\n".join(lines)


def write(report: Report, path: Path) -> None:
    """The figures as JSON."""
    content = {
        "rate": report.rate,
        "sent": report.sent,
        "seconds": report.took_s,
        "unseen": report.unseen,
        "worker_cpu_s": report.worker_cpu_s,
        "milliseconds": report.quantiles_ms(),
    }
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
