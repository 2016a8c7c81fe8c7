"""The sections under live load: how fresh `online` is, and how soon a worker that was killed goes on."""

import time

from infra.bench import freshness
from infra.bench.live_plays import LivePlays
from infra.bench.nearline.observing import Progress
from infra.bench.nearline.stage import Run, Stage
from infra.bench.report import Repeated, Row
from infra.local.process import wait_until
from infra.local.worker import NearlineWorker
from shared import store
from shared.errors import UnavailableError

FRESHNESS_RATE, FRESHNESS_SAMPLES = 1000.0, 50.0
P50_MS, P99_MS = 20.0, 100.0
RESTART_RATE = 200.0
RESTART_S = 10.0
BETWEEN_KILLS_S = 3.0
LIMIT_S = 60.0


def fresh(stage: Stage, seconds: float) -> list[Row]:
    """Kafka's acknowledgement to what `online` reads, at 1,000 plays a second."""
    run = stage.run()
    with run.worker() as worker:
        report = freshness.follow(run.config, worker, FRESHNESS_RATE, seconds, FRESHNESS_SAMPLES)
    stage.forget()
    found = report.quantiles_ms()
    seen, bare = found[freshness.STATE], found[freshness.ROUND_TRIP]
    values = {"milliseconds": found, "rate": report.rate, "unseen": report.unseen, "worker_cpu_s": report.worker_cpu_s}
    return [
        Row(
            "freshness at 1,000 plays/s, p50",
            f"{seen['p50']:.1f} ms (p10 {seen['p10']:.1f}, {seen['samples']} plays followed, bare round trip {bare['p50']:.2f})",
            f"≤ {P50_MS:g} ms",
            seen["p50"] <= P50_MS and not report.unseen,
            values,
        ),
        Row("  p99", f"{seen['p99']:.1f} ms (greatest {seen['max']:.1f})", f"≤ {P99_MS:g} ms", seen["p99"] <= P99_MS),
        Row("  the worker meanwhile", f"{report.worker_cpu_s / report.took_s:.0%} of a core"),
    ]


def restart(stage: Stage, times: int) -> list[Row]:
    """kill -9 under load, and the time from starting the worker again until the first event of its is in Redis."""
    rows: list[Row] = []
    for instance, words in (("bench", "with --instance"), (None, "without")):
        run = stage.run()
        found = Repeated(tuple(_kill_and_start(stage, run, instance, times)))
        worst = max(found.values)
        values = {"rounds": list(found.values)}
        row = Row(f"killed, consumes again, {words}", f"{found.text(1)} s", f"≤ {RESTART_S:g} s", worst <= RESTART_S, values)
        rows.append(row)
        stage.forget()
    return rows


def _kill_and_start(stage: Stage, run: Run, instance: str | None, times: int) -> list[float]:
    took_s: list[float] = []
    with (
        store.connect(run.config.redis) as client,
        LivePlays(run.config, freshness.member_ids(), freshness.TITLES, RESTART_RATE, 1.0, lambda followed: None),
        run.worker(instance) as worker,
    ):
        progress = Progress(client, run.config)
        _moves(progress, worker)
        for _ in range(times):
            time.sleep(BETWEEN_KILLS_S)
            worker.kill()
            began_s = time.perf_counter()
            worker.launch()
            _moves(progress, worker)
            took_s.append(time.perf_counter() - began_s)
            stage.say(f"killed and started again: {took_s[-1]:.1f} s")
    return took_s


def _moves(progress: Progress, worker: NearlineWorker) -> None:
    """Wait until another event is in Redis."""
    before = progress.done()
    if not wait_until(lambda: progress.done() > before or not worker.is_running, LIMIT_S):
        raise UnavailableError(f"the worker consumed nothing within {LIMIT_S:g} s; see {worker.log_path}")
    if not worker.is_running:
        raise UnavailableError(worker.describe_exit())
