"""The worker against its rivals: the same events from the same topic, in turns, round after round.

A round has each of them once, so that what else the machine does falls on all of them alike; ratios are made round by
round.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from infra.bench.nearline import state_size
from infra.bench.nearline.history import install_history
from infra.bench.nearline.rivals.measuring import Job
from infra.bench.nearline.rivals.running import run as run_rival
from infra.bench.nearline.stage import Stage
from infra.bench.nearline.workload import Workload
from infra.bench.report import Repeated, Row, at_least, ratios, told

PER_CPU_S, AIM_PER_CPU_S = 50_000.0, 100_000.0
AGENT_RATIO, BARE_SHARE = 8.0, 0.6
RIVAL_LIMIT_S = 60.0
MODULES = {"agent": "faust_agent", "bytewax": "bytewax_flow", "bare": "bare_loop", "decoding": "bare_loop"}
STATE_BYTES = 2000
"""What the bare loop writes when no worker has run before it."""


@dataclass
class Rounds:
    """What each of them did: name to one figure a round."""

    per_cpu_s: dict[str, list[float]] = field(default_factory=dict)
    per_s: dict[str, list[float]] = field(default_factory=dict)
    rss_mb: dict[str, list[float]] = field(default_factory=dict)
    sizes: state_size.Sizes | None = None

    def add(self, name: str, per_cpu_s: float, per_s: float, rss_bytes: int) -> None:
        """Keep one round's figures."""
        for figures, value in ((self.per_cpu_s, per_cpu_s), (self.per_s, per_s), (self.rss_mb, rss_bytes / 1e6)):
            figures.setdefault(name, []).append(value)


def measure(
    stage: Stage, realistic: Workload, spread: Workload, rounds: int, wanted: Collection[str], history: int, agent_s: float
) -> Rounds:
    """Run `wanted` (of worker, bare, decoding, spread, agent, bytewax) in turns.

    Parameters
    ----------
    history : titles that every member has played before the worker starts.
    agent_s : how long the plain agent runs; it does not get through the workload.
    """
    found = Rounds()
    turns: dict[str, Callable[[str], None]] = {
        "worker": lambda name: _work(stage, realistic, found, name, history),
        "bare": lambda name: _rival(stage, realistic, found, name),
        "decoding": lambda name: _rival(stage, realistic, found, name),
        "spread": lambda name: _work(stage, spread, found, name, 0),
        "agent": lambda name: _rival(stage, realistic, found, name, agent_s),
        "bytewax": lambda name: _rival(stage, realistic, found, name),
    }
    for number in range(rounds):
        for name, turn in turns.items():
            if name in wanted and not (name == "bytewax" and not has_bytewax()):
                turn(name)
                stage.forget()
                stage.say(f"round {number + 1} of {rounds}: {name} {found.per_cpu_s[name][-1]:,.0f} events a CPU-second")
    return found


def has_bytewax() -> bool:
    """Whether Bytewax and the client that its Kafka source needs are installed."""
    return find_spec("bytewax") is not None and find_spec("confluent_kafka") is not None


def _work(stage: Stage, workload: Workload, found: Rounds, name: str, history: int) -> None:
    run = stage.run(workload)
    if history:
        install_history(run.config, workload, history)
    series = stage.work(run, workload.events)
    span = series.span()
    found.add(name, span.per_cpu_s, span.per_s, series.peak_rss_bytes)
    if workload.kind == "realistic" and found.sizes is None:
        found.sizes = state_size.in_redis(run.config, workload.member_ids())


def _rival(stage: Stage, workload: Workload, found: Rounds, name: str, limit_s: float = RIVAL_LIMIT_S) -> None:
    run = stage.run(workload)
    size = round(found.sizes.mean_bytes) if found.sizes else STATE_BYTES
    job = Job(config_path=str(run.path), events=workload.events, limit_s=limit_s, state_bytes=size, decode=name == "decoding")
    measured = run_rival(MODULES[name], job, Path(run.path.parent))
    found.add(name, measured.per_cpu_s, measured.per_s, measured.rss_bytes)


def rows(found: Rounds, wanted: Collection[str]) -> list[Row]:
    """What the rounds show."""
    made: list[Row] = []
    cpu = found.per_cpu_s
    per_cpu_s = {name: Repeated(tuple(values)) for name, values in cpu.items()}
    if "worker" in cpu:
        made.append(at_least("worker, realistic plays", per_cpu_s["worker"], PER_CPU_S, unit="events/CPU-s"))
        aim = per_cpu_s["worker"].median >= AIM_PER_CPU_S
        made.append(Row("  the aim", "reached" if aim else "not reached", f"≥ {AIM_PER_CPU_S:,.0f} events/CPU-s (an aim)"))
        made.append(told("  by the wall clock", Repeated(tuple(found.per_s["worker"])), unit="events/s"))
        made.append(told("  most resident memory", Repeated(tuple(found.rss_mb["worker"])), unit="MB"))
    if "spread" in cpu:
        made.append(told("worker, every event another member's", per_cpu_s["spread"], unit="events/CPU-s"))
    if "agent" in cpu:
        made.append(told("plain Faust agent, same work", per_cpu_s["agent"], unit="events/CPU-s"))
        if "worker" in cpu:
            made.append(at_least("  worker ÷ agent", ratios(cpu["worker"], cpu["agent"]), AGENT_RATIO, unit="×", digits=1))
    if "bytewax" in cpu:
        made.append(told("Bytewax, decode and keyed fold, no Redis", per_cpu_s["bytewax"], unit="events/CPU-s"))
        if "worker" in cpu:
            found_ratio = ratios(cpu["worker"], cpu["bytewax"])
            figure = f"{found_ratio.text(2)} ×: {'ahead' if found_ratio.median > 1 else 'behind'}"
            made.append(Row("  worker ÷ Bytewax", figure, "ahead (an aim)", values={"rounds": list(found_ratio.values)}))
    elif "bytewax" in wanted:
        made.append(Row("Bytewax", "skipped: it is not installed (extra `bench` of pyproject.toml)"))
    if "bare" in cpu:
        made.append(told("bare loop, same script, no reducer", per_cpu_s["bare"], unit="events/CPU-s"))
        if "worker" in cpu:
            made.append(at_least("  worker ÷ bare loop", ratios(cpu["worker"], cpu["bare"]), BARE_SHARE, unit="×", digits=2))
            wall = ratios(found.per_s["worker"], found.per_s["bare"])
            made.append(told("  by the wall clock", wall, unit="×", digits=2))
    if "decoding" in cpu:
        made.append(told("bare loop that also decodes", per_cpu_s["decoding"], unit="events/CPU-s"))
        if "worker" in cpu:
            made.append(told("  worker ÷ this one", ratios(cpu["worker"], cpu["decoding"]), unit="×", digits=2))
    return made
