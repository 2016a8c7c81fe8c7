"""Runs the sections of `python -m infra.bench online` one after the other on one Redis, and gathers their rows."""

import importlib
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bench.online.server import BenchRedis, client_core, cores, server_core
from infra.bench.online.stage import Stage
from infra.bench.online.world import World
from infra.bench.report import Row
from shared.errors import InputError

_MODULES = {
    "page": "whole_page",
    "policies": "policies",
    "account": "accounting",
    "recommend": "lists",
    "records": "records",
    "import": "importing",
    "overload": "overload",
    "upheaval": "upheaval",
    "memory": "memory",
    "pages": "shifting",
    "published": "published",
}
"""Section to the module whose `measure(stage)` gives its rows."""
SECTIONS = tuple(_MODULES)
QUICK_MEMBERS, QUICK_CALLS = 5000, 500


@dataclass(frozen=True)
class Plan:
    """What to measure: `members` of the world, and how many `calls` each timing takes."""

    sections: tuple[str, ...] = SECTIONS
    members: int = 50_000
    calls: int = 5000

    def __post_init__(self) -> None:
        for name in self.sections:
            if name not in SECTIONS:
                raise InputError(f"--only {name}: there is no such section; expected some of {', '.join(SECTIONS)}")


def run(plan: Plan, say: Callable[[str], None]) -> tuple[list[Row], dict[str, Any]]:
    """Measure every section; the figures, and where and how they came about.

    Raises
    ------
    UnavailableError : a server or a rival failed, or pages are not what was to be timed.
    """
    began_s, load_before = time.monotonic(), os.getloadavg()[0]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as name, BenchRedis(Path(name)) as server:
        stage = Stage(server, Path(name), World(members=plan.members), plan.calls, say)
        for section in plan.sections:
            say(f"— {section}")
            rows += importlib.import_module(f"infra.bench.online.{_MODULES[section]}").measure(stage)
    about = {
        "members": plan.members,
        "calls": plan.calls,
        "cores": len(cores()),
        "client_core": client_core(),
        "server_core": server_core(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "took_s": round(time.monotonic() - began_s),
    }
    return rows, about
