"""Runs the sections of `python -m infra.bench nearline` one after the other and gathers their rows."""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.bench.nearline import backlog, live, profiling, spark_replay, state_size, throughput
from infra.bench.nearline.stage import Stage
from infra.bench.nearline.workload import Workload
from infra.bench.report import Row
from infra.local.stack import LocalStack
from shared.errors import InputError

RIVALRY = ("worker", "bare", "decoding", "spread", "agent", "bytewax")
"""Measured in turns; each ratio needs both of its sides."""
SECTIONS = (*RIVALRY, "size", "freshness", "restart", "workers", "spark", "catchup")
LEFT_OUT = ("catchup",)
"""Sections that run only when they are named."""
SPREAD_MEMBERS = 50_000
"""A batch fetched from all partitions has hardly any member twice then, and all their states stay in memory."""
REPLAYED = 4
"""Times as many events for the replay, which is made for long logs: starting a Spark job alone takes a second."""


@dataclass(frozen=True)
class Plan:
    """What to measure, and how much of it."""

    sections: tuple[str, ...] = tuple(name for name in SECTIONS if name not in LEFT_OUT)
    events: int = 400_000
    members: int = 20_000
    rounds: int = 3
    history: int = 0  # titles that every member has played before
    agent_s: float = 10.0  # how long the plain agent runs in each round
    live_s: float = 20.0  # how long freshness is measured
    backlog: int = 5_000_000
    backlog_members: int = 100_000
    workers: int = 2

    def check(self) -> None:
        """Raise `InputError` for a section that does not exist."""
        unknown = [name for name in self.sections if name not in SECTIONS]
        if unknown:
            raise InputError(f"no section is called {unknown[0]!r}; there are {', '.join(SECTIONS)}")


def run(plan: Plan, say: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
    """Measure; the rows, and what the figures depend on.

    Raises
    ------
    InputError : a section does not exist.
    UnavailableError : a server, the worker or a rival failed.
    """
    plan.check()
    load_before = os.getloadavg()[0]
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder, LocalStack(Path(folder)) as stack:
        rows = sections(plan, Stage(stack, say))
        batch_events = stack.config.nearline.batch_events
    about = {
        "plan": asdict(plan),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(load_before, 1),
        "load_after": round(os.getloadavg()[0], 1),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "batch_events": batch_events,
        "took_s": round(time.monotonic() - began_s),
    }
    return rows, about


def sections(plan: Plan, stage: Stage) -> list[Row]:
    """Run the sections of a plan on a stack that runs. Redis is emptied after each run. Raises as `run`."""
    realistic = Workload("realistic", plan.events, plan.members)
    wanted = [name for name in RIVALRY if name in plan.sections]
    rows: list[Row] = []
    rounds = throughput.Rounds()
    if wanted:
        spread = Workload("spread", plan.events, max(plan.members, SPREAD_MEMBERS))
        rounds = throughput.measure(stage, realistic, spread, plan.rounds, wanted, plan.history, plan.agent_s)
        rows += throughput.rows(rounds, wanted)
    if "size" in plan.sections:
        rows += state_size.rows(rounds.sizes)
    if "freshness" in plan.sections:
        rows += live.fresh(stage, plan.live_s)
    if "restart" in plan.sections:
        rows += live.restart(stage, plan.rounds)
    if "workers" in plan.sections:
        rows += backlog.scale_out(stage, realistic, plan.workers, plan.rounds)
    if "spark" in plan.sections:
        rows += spark_replay.measure(stage, Workload("realistic", REPLAYED * plan.events, plan.members))
    if "catchup" in plan.sections:
        rows += backlog.catch_up(stage, Workload("realistic", plan.backlog, plan.backlog_members))
    return rows


def profile(plan: Plan, say: Callable[[str], None]) -> str:
    """Where the worker's time goes; see `profiling.profile`."""
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder, LocalStack(Path(folder)) as stack:
        return profiling.profile(Stage(stack, say), Workload("realistic", max(plan.events, 1_000_000), plan.members))
