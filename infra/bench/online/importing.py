"""How long a fresh process takes to import the library, beside what it builds on, and whether anything heavy comes with it."""

import subprocess
import sys
from pathlib import Path

from infra.bench.online.server import client_core
from infra.bench.online.stage import Stage
from infra.bench.online.timing import on_core
from infra.bench.report import Row
from shared.errors import UnavailableError

ROOT = Path(__file__).parents[3]
LIMIT_MS = 150.0
HEAVY = ("pyspark", "torch", "faust", "pandas", "scipy", "kafka", "offline", "nearline")
STATEMENTS = ("import numpy", "import redis", "import msgspec", "import online", "from online import Recommender")
ROUNDS, LEAST_ROUNDS = 15, 5
_PROGRAM = """
import sys, time
began, cpu = time.perf_counter(), time.process_time()
{statement}
print(time.perf_counter() - began, time.process_time() - cpu, *[name for name in {heavy} if name in sys.modules])
"""


def measure(stage: Stage) -> list[Row]:
    """Each statement in a process of its own, in turns; the best of the rounds, as a machine with time for it gives."""
    rounds = ROUNDS if stage.calls > 1000 else LEAST_ROUNDS
    found: dict[str, list[tuple[float, float]]] = {statement: [] for statement in STATEMENTS}
    came_along: dict[str, list[str]] = {}
    with on_core(client_core()):
        for _ in range(rounds):
            for statement in STATEMENTS:
                wall_s, cpu_s, *heavy = _import(statement)
                found[statement].append((float(wall_s), float(cpu_s)))
                came_along[statement] = heavy
    rows: list[Row] = []
    for statement, taken in found.items():
        best_ms, best_cpu_ms = (1000 * min(column) for column in zip(*taken, strict=True))
        is_ours, heavy = "online" in statement, came_along[statement]
        figure = f"{best_ms:.0f} ms, CPU {best_cpu_ms:.0f} ms, best of {rounds}"
        figure += f"; heavy: {', '.join(heavy) or 'none'}" if is_ours else ""
        is_promised = statement == "import online"
        met = best_ms <= LIMIT_MS and not heavy if is_promised else None
        target = f"≤ {LIMIT_MS:.0f} ms, nothing heavy" if is_promised else ""
        rows.append(
            Row(f"`{statement}` in a fresh process", figure, target, met, {"ms": best_ms, "cpu_ms": best_cpu_ms, "heavy": heavy})
        )
    return rows


def _import(statement: str) -> list[str]:
    """Run one statement in a fresh process; its seconds, CPU seconds, and what heavy came along."""
    program = _PROGRAM.format(statement=statement, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise UnavailableError(f"`{statement}` failed in a fresh process: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.split()
