"""Experiments: which variant of a request each member gets, from one file of tests and cells.

    load_experiments(path, known) → Experiments     once, when a process starts
    allocate(experiments, member_id, context) → Allocation      every request, about 1 µs a layer

A layer is a hash space that its tests share out, so that no member is in two of them; tests of different layers overlap freely.
A cell changes any part of a request (`Changes`), and the cells of a member go with its pages into the log.
"""

from online.experiments.allocation import NO_EXPERIMENTS, Allocation, Experiments, allocate
from online.experiments.changes import NO_CHANGES, Changes
from online.experiments.checking import load_experiments
from online.experiments.known import STAGES, Known
from online.experiments.rules import Context, Rules

__all__ = [
    "NO_CHANGES",
    "NO_EXPERIMENTS",
    "STAGES",
    "Allocation",
    "Changes",
    "Context",
    "Experiments",
    "Known",
    "Rules",
    "allocate",
    "load_experiments",
]
