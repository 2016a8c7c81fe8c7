"""Runs Feast in an environment of its own: its pins may contradict ours, so it is no extra of this project.

The environment is made by `uv`, which `make setup` brings, when a run asks for it first, and kept beside uv for the next run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra import setup
from infra.bench.online.server import BenchRedis
from infra.bench.online.timing import Latencies
from shared.errors import UnavailableError

VERSION = "0.67.0"
ENVIRONMENT = setup.TOOLS / f"feast-{VERSION}"
PROGRAM = Path(__file__).with_name("feast_program.py")
DATABASE = 1
"""Of Redis: out of the way of what else a run measures."""
FEATURES, STORED = 20, 2000
INSTALL_LIMIT_S, RUN_LIMIT_S = 600.0, 300.0


def need() -> Path:
    """The Python that has Feast.

    Raises
    ------
    UnavailableError : it cannot be installed here; says why.
    """
    python = ENVIRONMENT / "bin" / "python"
    done = ENVIRONMENT / "installed"
    if not done.exists():
        if not setup.UV.exists():
            raise UnavailableError(f"{setup.UV} is not there: run `make setup`")
        outside = Path(sys.base_prefix, "bin", "python3")  # .venv has no pip
        environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", **setup.package_sources(str(outside))}
        _run([str(setup.UV), "venv", "--clear", "--python", sys.executable, str(ENVIRONMENT)], INSTALL_LIMIT_S, environment)
        _run([str(setup.UV), "pip", "install", "--python", str(python), f"feast[redis]=={VERSION}"], INSTALL_LIMIT_S, environment)
        done.touch()
    return python


def measure(server: BenchRedis, entities: int, calls: int) -> dict[str, Latencies]:
    """Feast's read of `one` entity and of `many`, 20 features each, on the cores that this thread has.

    Raises
    ------
    UnavailableError : Feast cannot be installed or fails.
    """
    job = {
        "redis": f"127.0.0.1:{server.port},db={DATABASE}",
        "features": FEATURES,
        "entities": entities,
        "stored": STORED,
        "calls": calls,
    }
    said = _run([str(need()), "-P", str(PROGRAM), json.dumps(job)], RUN_LIMIT_S, dict(os.environ))
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    return {name: Latencies(tuple(told[name]["seconds"]), told[name]["cpu_s"]) for name in ("one", "many")}


def _run(command: list[str], limit_s: float, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, env=environment)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{Path(command[0]).name} {command[1]} did not end within {limit_s:.0f} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise UnavailableError(f"{Path(command[0]).name} {command[1]} failed: {lines[-1][:300]}")
    return done.stdout
