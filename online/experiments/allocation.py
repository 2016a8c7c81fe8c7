"""Which cells a member is in: the first stage of a request. Pure.

    Experiments (the checked file) + member id + Context → Allocation

Every layer has a hash space of its own, so that tests of different layers are independent of each other; tests of one layer
have different buckets of one space, so that a member is in one of them at most. Which cell of a test a member is in comes from
a second space, that of the test: a test that takes the place of an ended one starts with other groups than that one had.
"""

from dataclasses import dataclass, field

import msgspec

from online.experiments.changes import NO_CHANGES, Changes, merge
from online.experiments.layout import Space
from online.experiments.rules import Context, Rules

HOLDOUT = "holdout"
"""Cell of the members that are held out; the tests of that name, and `LAYER/holdout`, are the holdouts."""
MERGED_LIMIT = 4096
"""Combinations of cells whose changes are kept."""


class Allocation(msgspec.Struct, frozen=True, eq=False):
    """The cells of one member's request. `cells` maps tests to cells, and goes with the page into the log."""

    cells: dict[str, str]
    changes: Changes


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to treat the members of a test; `buckets` of the test's space are its share."""

    name: str
    changes: Changes
    buckets: int


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """A test as allocation needs it: `cell_of` has the cell of every bucket of the test's own space, `buckets` of its layer's
    space are its share. The least and the greatest moment stand for no start and no end."""

    name: str
    layer: str
    rules: Rules
    start_ms: int
    end_ms: int
    buckets: int
    space: Space
    cells: tuple[Cell, ...]
    cell_of: tuple[Cell, ...]

    def applies(self, context: Context) -> bool:
        """Whether the test runs at the moment of a request, and is for it."""
        return self.start_ms <= context.now_ms < self.end_ms and self.rules.let_pass(context)


@dataclass(frozen=True, slots=True)
class Layer:
    """`test_of` has the test of every bucket of the layer's space, None where there is none."""

    name: str
    space: Space
    test_of: tuple[Test | None, ...]


@dataclass(frozen=True, slots=True)
class Forced:
    """An override: the cells that a member is in whatever its hash and the rules say, and the tests that these keep it out of,
    those of the same layers and those that change the same."""

    cells: tuple[tuple[Test, Cell], ...]
    excluded: frozenset[str]


@dataclass(frozen=True, slots=True)
class Holdout:
    """The share of all members that is in no test of any layer: the first `buckets` of a space of its own."""

    space: Space
    buckets: int


@dataclass(frozen=True, slots=True, eq=False)
class Experiments:
    """A checked file of experiments. Read by many threads; only the table of merged changes grows.

    Attributes
    ----------
    tests : as the file has them; a layer's own holdout is in its layer alone.
    waits_for_member : some test is for known or for cold members alone, so that `allocate` is to be called again, with
        `Context.is_known`, once the member's data are there. What the first call said stays true.
    arms : all snapshot pointers that cells name.
    """

    layers: tuple[Layer, ...] = ()
    tests: tuple[Test, ...] = ()
    forced: dict[str, Forced] = field(default_factory=dict)
    holdout: Holdout | None = None
    waits_for_member: bool = False
    arms: frozenset[str] = frozenset()
    _merged: dict[tuple[Changes, ...], Changes] = field(default_factory=dict)

    def merged(self, parts: tuple[Changes, ...]) -> Changes:
        """The changes of some cells together, the same object for the same ones."""
        if len(parts) < 2:
            return parts[0] if parts else NO_CHANGES
        found = self._merged.get(parts)
        if found is None:
            if len(self._merged) >= MERGED_LIMIT:
                self._merged.clear()
            found = self._merged.setdefault(parts, merge(parts))
        return found


NO_EXPERIMENTS = Experiments()


def allocate(experiments: Experiments, member_id: str, context: Context) -> Allocation:
    """The cells that a member is in at the moment of a request, and what they change together.

    Takes about 1 µs a layer. The same member, file and context give the same cells on every machine and in every version.
    """
    member = member_id.encode()
    forced = experiments.forced.get(member_id)
    held_out = experiments.holdout
    cells: dict[str, str] = {}
    changed: list[Changes] = []
    if forced is not None:
        excluded = forced.excluded
        for test, cell in forced.cells:
            cells[test.name] = cell.name
            if cell.changes is not NO_CHANGES:
                changed.append(cell.changes)
    elif held_out is not None and held_out.space.bucket(member) < held_out.buckets:
        return Allocation({HOLDOUT: HOLDOUT}, NO_CHANGES)
    else:
        excluded = frozenset()
    for layer in experiments.layers:
        found = layer.test_of[layer.space.bucket(member)]
        if found is None or not found.applies(context) or found.name in excluded:
            continue
        cell = found.cell_of[found.space.bucket(member)]
        cells[found.name] = cell.name
        if cell.changes is not NO_CHANGES:
            changed.append(cell.changes)
    return Allocation(cells, experiments.merged(tuple(changed)))
