"""How long a live play takes from Kafka's acknowledgement until `online` sees it, and until a page shows it.

Plays come at a steady rate from a process of their own. Some of them are followed: the member is read from Redis as
`online` reads members until the state has the play, then the public call `Recommender.page` is made until it shows it. The
bare round trip to the same Redis is measured in the same run, because nothing can be faster than that.
"""

import json
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import redis

from infra.bench.invented import install_snapshot
from infra.bench.live_plays import Followed, LivePlays
from infra.local.stack import LocalStack
from infra.local.worker import NearlineWorker
from shared import keys, store
from shared.config import Config
from shared.errors import UnavailableError
from shared.whole_files import write_whole

MEMBERS = 500
TITLES = 1000
WARM_UP_S = 3.0
POLL_S = 0.001
GIVE_UP_S = 10.0
TARGET_S = 1.0

STATE, PAGE, ROUND_TRIP, CALL = "ack → seen by online", "ack → changed page", "bare Redis round trip", "one page call"


@dataclass
class Report:
    """What was measured; `seconds` maps each figure's name to its samples."""

    rate: float
    sent: int = 0
    took_s: float = 0.0
    unseen: int = 0
    worker_cpu_s: float = 0.0
    watching_cpu_s: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in (STATE, PAGE, CALL, ROUND_TRIP)})

    def quantiles_ms(self) -> dict[str, dict[str, float]]:
        """Of each figure: samples, p10, p50, p90, p99, max."""
        return {
            name: {
                "samples": len(found),
                **{f"p{share}": float(np.percentile(found, share)) * 1000 for share in (10, 50, 90, 99)},
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
    from online import Recommender

    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder, LocalStack(Path(folder)) as stack:
        config = msgspec.structs.replace(stack.config, online=msgspec.structs.replace(stack.config.online, log_impressions=False))
        members = member_ids()
        with store.connect(config.redis) as client:
            install_snapshot(client, config.redis.namespace, config.online.arm, titles=TITLES, members=members)
        with NearlineWorker(stack.root / "marquee.toml") as worker, Recommender(config) as recommender:
            _until(lambda: recommender.snapshot is not None, "the recommender did not load the snapshot")
            return follow(config, worker, rate, seconds, samples, recommender)


def member_ids() -> list[str]:
    """Who watches."""
    return [f"m{number}" for number in range(MEMBERS)]


def follow(
    config: Config, worker: NearlineWorker, rate: float, seconds: float, samples: float, recommender: Any | None = None
) -> Report:
    """Send plays to a worker that runs, and follow some.

    Parameters
    ----------
    recommender : an `online.Recommender` whose pages are followed too; None leaves pages out.

    Raises
    ------
    UnavailableError : the sender failed, or no play was ever seen.
    """
    report = Report(rate)
    process, watching = psutil.Process(worker.pid), psutil.Process()
    followed: queue.SimpleQueue[Followed] = queue.SimpleQueue()
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(config, followed, recommender, report, ended), name="watcher")
    is_warm = threading.Event()
    with LivePlays(
        config, member_ids(), TITLES, rate, samples, lambda one: followed.put(one) if is_warm.is_set() else None
    ) as live:
        time.sleep(WARM_UP_S)
        is_warm.set()
        watcher.start()
        began_s, before_s, watching_before_s = time.perf_counter(), _cpu_s(process), _cpu_s(watching)
        time.sleep(seconds)
        report.took_s = time.perf_counter() - began_s
        report.worker_cpu_s, report.watching_cpu_s = _cpu_s(process) - before_s, _cpu_s(watching) - watching_before_s
    ended.set()
    watcher.join()
    report.sent = live.sent
    with store.connect(config.redis) as client:
        _round_trips(client, config, report)
    if not report.seconds[STATE]:
        raise UnavailableError(f"not one of {report.sent} plays was seen within {GIVE_UP_S:g} s")
    return report


def _watch(
    config: Config, followed: "queue.SimpleQueue[Followed]", recommender: Any | None, report: Report, ended: threading.Event
) -> None:
    """Read the members of the plays in flight, in turn, until each has been seen; idle while there is none."""
    client, topic = store.connect(config.redis), config.kafka.plays_topic
    states = store.StateStore(client, config.redis.namespace)
    pending: list[Followed] = []
    while not (ended.is_set() and followed.empty() and not pending):
        try:
            pending.append(followed.get(timeout=POLL_S if pending else 0.1))
        except queue.Empty:
            if not pending:
                continue
        waiting: list[Followed] = []
        for one in pending:
            _, fence = states.read([one.member_id])[0].decode()
            at = fence.get(topic)
            now_s = time.perf_counter()
            if at is not None and at.offset >= one.offset:
                report.seconds[STATE].append(max(0.0, now_s - one.acked_at_s))
                if recommender is not None:
                    _watch_page(recommender, one, report)
            elif now_s - one.acked_at_s > GIVE_UP_S:
                report.unseen += 1
            else:
                waiting.append(one)
        pending = waiting
    client.close()


def _watch_page(recommender: Any, followed: Followed, report: Report) -> None:
    """Ask for the page until it offers to continue the title that was played."""
    while time.perf_counter() - followed.acked_at_s < GIVE_UP_S:
        at_s = time.perf_counter()
        page = recommender.page(followed.member_id, country="US")
        now_s = time.perf_counter()
        report.seconds[CALL].append(now_s - at_s)
        if any(cell.title_id == followed.title_id for row in page.rows if row.key == "continue-watching" for cell in row.cells):
            report.seconds[PAGE].append(now_s - followed.acked_at_s)
            return
        time.sleep(POLL_S)
    report.unseen += 1


def _round_trips(client: redis.Redis, config: Config, report: Report) -> None:
    for _ in range(1000):
        at_s = time.perf_counter()
        client.hget(keys.state(config.redis.namespace, "nobody"), keys.FENCE_FIELD)
        report.seconds[ROUND_TRIP].append(time.perf_counter() - at_s)


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


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
        f"{report.sent} plays at {report.rate:g} a second, followed for {report.took_s:.1f} s, {os.cpu_count()} cores; "
        f"the worker used {report.worker_cpu_s / report.took_s:.0%} of one, watching {report.watching_cpu_s / report.took_s:.0%}",
        "",
        f"{'milliseconds':<24}{'samples':>9}{'p10':>9}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}",
    ]
    for name, row in found.items():
        figures = "".join(f"{row[column]:9.2f}" for column in ("p10", "p50", "p90", "p99", "max"))
        lines.append(f"{name:<24}{row['samples']:>9}{figures}")
    met = "met" if PAGE in found and found[PAGE]["p99"] < TARGET_S * 1000 and not report.unseen else "MISSED"
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
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
