"""Runs the sections of `python -m infra.bench models` one after the other."""

import importlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bench.report import Row
from shared.errors import InputError

Say = Callable[[str], None]

_MODULES = {"quality": "quality", "als": "als_speed", "topk": "topk_speed", "loss": "loss_memory"}
SECTIONS = tuple(_MODULES)


@dataclass(frozen=True)
class Plan:
    """What to measure: `sections` of `SECTIONS`, `data` the folder with the public data sets, `rounds` of each timing."""

    sections: tuple[str, ...] = SECTIONS
    data: Path = Path("../shared/data")
    rounds: int = 3

    def __post_init__(self) -> None:
        for name in self.sections:
            if name not in SECTIONS:
                raise InputError(f"--only {name}: there is no such section; expected some of {', '.join(SECTIONS)}")


def run(plan: Plan, say: Say) -> tuple[list[Row], dict[str, Any]]:
    """Measure every section; returns the figures, and where and how they came about."""
    began_s, load_before = time.monotonic(), os.getloadavg()[0]
    rows: list[Row] = []
    for section in plan.sections:
        say(f"— {section}")
        rows += _measure(section, plan, say)
    about = {
        "cores": os.cpu_count(),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "took_s": round(time.monotonic() - began_s),
    }
    return rows, about


def _measure(section: str, plan: Plan, say: Say) -> Sequence[Row]:
    """One section; each module loads what it alone needs: torch, a rival, a JVM."""
    module = importlib.import_module(f"infra.bench.models.{_MODULES[section]}")
    rows: Sequence[Row]
    if section == "quality":
        rows = module.measure(say, plan.data)
    elif section == "loss":
        rows = module.measure(say)
    else:
        rows = module.measure(say, rounds=plan.rounds)
    return rows
