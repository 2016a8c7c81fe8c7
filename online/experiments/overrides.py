"""Overrides: members whose cells are named in the file, whatever their hash and the rules say. Pure.

An overridden member is in no other test and no holdout of the same layer, in no other test that changes the same, and not in
the holdout from all tests.
"""

from collections.abc import Iterable, Mapping

from online.experiments.allocation import HOLDOUT, Cell, Forced, Test
from online.experiments.file import ExperimentsFile
from shared.errors import ConfigError


def overrides(entries: ExperimentsFile, tests: Mapping[str, Test]) -> dict[str, Forced]:
    """Every overridden member's cells, and what these keep it out of."""
    cells: dict[str, list[tuple[Test, Cell]]] = {}
    for name, entry in entries.tests.items():
        test, where = tests[name], f"{entries.path}: test {name!r}"
        by_name = {cell.name: cell for cell in test.cells}
        asked = list(entry.overrides.items())
        asked += [(member, cell) for cell, of in entries.cells[name].items() for member in of.members]
        chosen: dict[str, str] = {}
        for member, cell in asked:
            if cell not in by_name:
                raise ConfigError(f"{where}: the override of member {member!r} names cell {cell!r}; cells: {', '.join(by_name)}")
            if chosen.setdefault(member, cell) != cell:
                raise ConfigError(f"{where}: member {member!r} is overridden to cell {chosen[member]!r} and to cell {cell!r}")
        for member, cell in chosen.items():
            cells.setdefault(member, []).append((test, by_name[cell]))
    return {member: _forced(entries, member, chosen, tests.values()) for member, chosen in cells.items()}


def _forced(entries: ExperimentsFile, member: str, chosen: list[tuple[Test, Cell]], tests: Iterable[Test]) -> Forced:
    excluded: set[str] = set()
    for test, _ in chosen:
        if test.name in excluded:
            other = next(of for of, _ in chosen if of is not test and _rival(of, test))
            raise ConfigError(
                f"{entries.path}: member {member!r} is overridden into tests {other.name!r} and {test.name!r}, "
                "which exclude each other"
            )
        excluded |= {of.name for of in tests if of is not test and _rival(of, test)}
    own = {test.name for test, _ in chosen}
    excluded |= own | {f"{test.layer}/{HOLDOUT}" for test, _ in chosen}
    return Forced(tuple(chosen), frozenset(excluded))


def _rival(one: Test, other: Test) -> bool:
    """Whether a member cannot be in both: they share a layer, or change the same."""
    touched = [frozenset().union(*(cell.changes.touched for cell in test.cells)) for test in (one, other)]
    return one.layer == other.layer or bool(touched[0] & touched[1])
