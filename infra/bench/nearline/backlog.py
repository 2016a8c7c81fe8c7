"""The sections about long backlogs: catching up with one, and sharing one between workers."""

import contextlib
import os
from collections.abc import Sequence

import psutil

from infra.bench.nearline.observing import Sample, follow
from infra.bench.nearline.rates import Span
from infra.bench.nearline.stage import LIMIT_S, Stage
from infra.bench.nearline.workload import Workload
from infra.bench.report import Repeated, Row
from infra.local.process import Service

SLICE_S = 10.0
STEADY = 0.7
"""The slowest ten seconds of catching up, as a share of the median ones, for the rate to count as steady."""
RSS_MB = 1500.0
SCALE = 1.7
STRETCH = 0.4
"""Workers are compared by their fastest stretch of this share of the backlog: all have started, none has run out of records."""


def catch_up(stage: Stage, workload: Workload) -> list[Row]:
    """One worker and a long backlog: whether its rate holds and its memory stays bounded."""
    run = stage.run(workload)
    told_s = [0.0]

    def say(sample: Sample) -> None:
        if sample.at_s - told_s[0] >= SLICE_S:
            told_s[0] = sample.at_s
            stage.say(f"catching up: {sample.done:,} of {workload.events:,} events, {sample.rss_bytes / 1e6:.0f} MB resident")

    series = stage.work(run, workload.events, every_s=0.25, say=say)
    stage.forget()
    whole = series.span()
    pieces = Repeated(tuple(piece.per_s for piece in series.slices(SLICE_S)) or (whole.per_s,))
    steady = min(pieces.values) / pieces.median
    half = series.span(0.0, 0.5)
    middle = next(sample for sample in series.samples if sample.done >= 0.5 * workload.events)
    peak_mb, middle_mb = series.peak_rss_bytes / 1e6, middle.rss_bytes / 1e6
    values = {"slices_per_s": list(pieces.values), "first_half_per_s": half.per_s, "events": workload.events}
    return [
        Row(
            f"backlog of {workload.events:,} events",
            f"{whole.per_s:,.0f} events/s, {whole.per_cpu_s:,.0f} a CPU-s",
            values=values,
        ),
        Row(
            f"  per {SLICE_S:g} s", f"{pieces.text()} events/s; slowest ÷ median {steady:.2f}", f"≥ {STEADY:g}", steady >= STEADY
        ),
        Row(
            "  most resident memory",
            f"{peak_mb:,.0f} MB ({middle_mb:,.0f} MB halfway)",
            f"≤ {RSS_MB:,.0f} MB",
            peak_mb <= RSS_MB,
            {"peak_mb": peak_mb, "halfway_mb": middle_mb},
        ),
    ]


def scale_out(stage: Stage, workload: Workload, workers: int, rounds: int) -> list[Row]:
    """Several workers against one over the same backlog, each bound to a core."""
    cores = sorted(os.sched_getaffinity(0))
    wall: list[float] = []
    cpu: list[float] = []
    for _ in range(rounds):
        one, many = (_shared(stage, workload, cores[:count], cores) for count in (1, workers))
        wall.append(many.per_s / one.per_s)
        cpu.append(many.per_cpu_s / one.per_cpu_s)
        stage.say(f"one worker {one.per_s:,.0f} events/s, {workers} workers {many.per_s:,.0f} events/s")
    by_wall, by_cpu = Repeated(tuple(wall)), Repeated(tuple(cpu))
    target = SCALE * workers / 2
    enough = len(cores) > workers
    limits = "" if enough else f"; Kafka and Redis share the {len(cores)} cores with them"
    return [
        Row(
            f"{workers} workers ÷ one, by the wall clock",
            f"{by_wall.text(2)} ×{limits}",
            f"≥ {target:.1f} × with a core each",
            by_wall.median >= target,
            {"rounds": wall, "cores": len(cores)},
        ),
        Row(
            "  if each had a core to itself",
            f"{by_cpu.median * workers:.2f} × ({workers} × events a CPU-second, {by_cpu.text(2)} of one worker's)",
            values={"rounds": cpu},
        ),
    ]


def _shared(stage: Stage, workload: Workload, own: Sequence[int], cores: Sequence[int]) -> Span:
    """The rate of one worker a core in `own`; the servers get the cores that are left, or all when none is."""
    run = stage.run(workload)
    rest = [core for core in cores if core not in own] or list(cores)
    for server in (stage.stack.kafka, stage.stack.redis):
        _bind(server, rest)
    workers = [run.worker(f"worker-{core}") for core in own]
    try:
        for worker, core in zip(workers, own, strict=True):
            worker.launch()
            _bind(worker, [core])
        return follow(run.config, workers, workload.events, limit_s=LIMIT_S).fastest(STRETCH)
    finally:
        for worker in workers:
            worker.request_stop()
        for worker in workers:
            worker.wait_stopped()
        for server in (stage.stack.kafka, stage.stack.redis):
            _bind(server, cores)
        stage.forget()


def _bind(service: Service, cores: Sequence[int]) -> None:
    """Bind all threads of a process to some cores; those that it starts later inherit it."""
    for thread in psutil.Process(service.pid).threads():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread.id, cores)
