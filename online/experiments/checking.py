"""The experiments file checked and laid out, once, when a process starts.

    experiments.toml → read → load_experiments → Experiments, or one ConfigError that names file, test and cell

Everything that could go wrong at a request is found here: that shares fit, that every name exists, that what replaces a stage
can be imported, and that no two tests that a request may be in together change the same thing.
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from online.experiments import file, shares
from online.experiments.allocation import HOLDOUT, Cell, Experiments, Holdout, Test
from online.experiments.changes import NO_CHANGES
from online.experiments.file import ExperimentsFile, TestEntry
from online.experiments.known import Known, check_changes, check_rules
from online.experiments.layout import Space
from online.experiments.overrides import overrides
from shared.errors import ConfigError


def load_experiments(path: str | Path, known: Known | None = None) -> Experiments:
    """Read, check and lay out a file.

    Raises
    ------
    ConfigError : something in it cannot be; names file, test and cell.
    """
    entries = file.read(Path(path))
    known = Known() if known is None else known
    _check_layers(entries)
    tests = {name: _test(entries, name, entry, known) for name, entry in entries.tests.items()}
    _check_conflicts(entries.path, tests)
    return Experiments(
        layers=tuple(shares.lay_out(entries, name, tests) for name in entries.layers),
        tests=tuple(tests.values()),
        forced=overrides(entries, tests),
        holdout=_holdout(entries),
        waits_for_member=any(test.rules.members is not None for test in tests.values()),
        arms=frozenset(cell.changes.arm for test in tests.values() for cell in test.cells if cell.changes.arm is not None),
    )


def _check_layers(entries: ExperimentsFile) -> None:
    salts = {"the holdout": entries.holdout.salt} if entries.holdout is not None else {}
    salts |= {f"layer {name!r}": layer.salt for name, layer in entries.layers.items()}
    for where, salt in salts.items():
        if not salt or "\0" in salt:
            raise ConfigError(f"{entries.path}: {where}: salt {salt!r} is empty or has a zero byte")
    for (one, salt), (other, same) in combinations(salts.items(), 2):
        if salt == same:
            raise ConfigError(f"{entries.path}: {one} and {other} have the same salt {salt!r}, and would not be independent")
    if HOLDOUT in entries.tests:
        raise ConfigError(f"{entries.path}: test {HOLDOUT!r}: the name stands for the members that are in no test")


def _holdout(entries: ExperimentsFile) -> Holdout | None:
    if entries.holdout is None:
        return None
    return Holdout(Space(entries.holdout.salt), shares.buckets_of_share(f"{entries.path}: holdout", entries.holdout.share))


def _test(entries: ExperimentsFile, name: str, entry: TestEntry, known: Known) -> Test:
    where = f"{entries.path}: test {name!r}"
    layer = entries.layers.get(entry.layer)
    if layer is None:
        raise ConfigError(f"{where}: layer {entry.layer!r} is unknown; layers: {', '.join(entries.layers) or 'none'}")
    if (entry.share is None) == (not entry.ranges):
        raise ConfigError(f"{where}: either share or ranges is expected, of layer {entry.layer!r}")
    if entry.start is not None and entry.end is not None and entry.end <= entry.start:
        raise ConfigError(f"{where}: end {entry.end} is not after start {entry.start}")
    check_rules(where, entry.rules, known)
    cells = entries.cells[name]
    if not cells:
        raise ConfigError(f"{where} has no cells; [tests.{name}.cells.NAME] is expected")
    for cell, of in cells.items():
        check_changes(f"{where}, cell {cell!r}", of.changes, entry.rules, known)
    owners = shares.cell_owners(where, f"{layer.salt}/{name}", cells)
    made = tuple(
        Cell(cell, of.changes if of.changes.touched else NO_CHANGES, owners.count(at))
        for at, (cell, of) in enumerate(cells.items())
    )
    if entry.share is not None:
        buckets = shares.buckets_of_share(where, entry.share)
    else:
        buckets = sum(end - first for first, end in shares.bucket_ranges(where, entry.ranges))
    return Test(
        name=name,
        layer=entry.layer,
        rules=entry.rules,
        start_ms=shares.FIRST_MS if entry.start is None else round(entry.start.timestamp() * 1000),
        end_ms=shares.LAST_MS if entry.end is None else round(entry.end.timestamp() * 1000),
        buckets=buckets,
        # A layer's salt cannot have the zero byte, so that no other layer and test make the same salt.
        space=Space(f"{layer.salt}\0{name}"),
        cells=made,
        cell_of=tuple(made[owner] for owner in owners),
    )


def _check_conflicts(path: Path, tests: Mapping[str, Test]) -> None:
    """No two tests that a request may be in together change the same."""
    for one, other in combinations(tests.values(), 2):
        apart = one.end_ms <= other.start_ms or other.end_ms <= one.start_ms
        if one.layer == other.layer or apart or one.rules.exclude(other.rules):
            continue
        for cell in one.cells:
            for against in other.cells:
                both = cell.changes.touched & against.changes.touched
                if both:
                    raise ConfigError(
                        f"{path}: test {one.name!r}, cell {cell.name!r} and test {other.name!r}, cell {against.name!r} "
                        f"both change {min(both)}, and a member can be in both; put the tests into one layer"
                    )
