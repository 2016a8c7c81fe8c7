"""Where the worker's time goes, as py-spy sees it from outside: the stacks of its threads, many times a second."""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.bench.nearline.observing import Progress
from infra.bench.nearline.stage import Stage
from infra.bench.nearline.workload import Workload
from infra.local.process import wait_until
from shared import store
from shared.errors import InputError, UnavailableError

RATE_HZ = 200
SECONDS = 8
SHOWN, SHOWN_SHARE = 20, 0.02
LIMIT_S = 60.0


def profile(stage: Stage, workload: Workload) -> str:
    """Sample one worker on a backlog: for each thread the functions with the most time of their own, and with callees.

    Raises
    ------
    InputError : py-spy is not installed.
    UnavailableError : it may not look into the worker, or the worker does not consume.
    """
    if not _py_spy().exists():
        raise InputError("py-spy is not installed (extra `bench` of pyproject.toml)")
    run = stage.run(workload)
    stacks = stage.stack.root / "stacks.txt"
    worker = run.worker()
    worker.launch()
    try:
        with store.connect(run.config.redis) as client:
            progress = Progress(client, run.config)
            if not wait_until(lambda: progress.done() > 0 or not worker.is_running, LIMIT_S):
                raise UnavailableError(f"the worker consumed nothing within {LIMIT_S:g} s; see {worker.log_path}")
            began_s, before = time.perf_counter(), progress.done()
            command = [
                *(str(_py_spy()), "record", "--pid", str(worker.pid), "--format", "raw", "--output", str(stacks)),
                *("--rate", str(RATE_HZ), "--duration", str(SECONDS), "--threads", "--nonblocking"),
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S + SECONDS)
            if done.returncode != 0:
                raise UnavailableError(f"py-spy failed: {done.stderr.strip().splitlines()[-1]}")
            handled, took_s = progress.done() - before, time.perf_counter() - began_s
    finally:
        worker.stop()
        stage.forget()
    return f"{handled / took_s:,.0f} events/s while py-spy looked {RATE_HZ} times a second\n{tell(stacks.read_text())}"


def _py_spy() -> Path:
    return Path(sys.executable).with_name("py-spy")


def tell(raw: str) -> str:
    """py-spy's raw stacks (`thread;function (file:line);… count` a line) as tables of each thread's functions and lines.

    Threads that wait are not in them, so shares are of the time that a processor was used, system calls included.
    """
    functions: dict[str, Counts] = {}
    lines: dict[str, Counts] = {}
    for row in raw.splitlines():
        stack, _, count = row.rpartition(" ")
        thread, *frames = stack.split(";")
        if frames:
            name = thread.rpartition(": ")[2]
            lines.setdefault(name, Counts()).add(frames, int(count))
            functions.setdefault(name, Counts()).add([_LINE.sub(")", frame) for frame in frames], int(count))
    total = sum(counts.total for counts in lines.values())
    told: list[str] = []
    for name in sorted(lines, key=lambda thread: -lines[thread].total):
        if lines[name].total >= SHOWN_SHARE * total:
            told += ["", f"{name}: {lines[name].total / total:.0%} of all samples"]
            told += functions[name].table(total, "function") + lines[name].table(total, "line")
    return "\n".join(told)


_LINE = re.compile(r":\d+\)$")


@dataclass
class Counts:
    """Samples of one thread: by what it was in, and by all that had been called to get there."""

    own: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All samples."""
        return self.own.total()

    def add(self, frames: Sequence[str], count: int) -> None:
        """Count one stack."""
        self.own[frames[-1]] += count
        for frame in set(frames):
            self.whole[frame] += count

    def table(self, total: int, what: str) -> list[str]:
        """The greatest by their own time, as shares of all threads' samples."""
        rows = [f"{'own':>7} {'with callees':>13}  {what}"]
        for frame, count in self.own.most_common(SHOWN):
            rows.append(f"{count / total:7.1%} {self.whole[frame] / total:13.1%}  {frame}")
        return rows
