"""Shares and ranges, as the file has them, made into owners of the buckets of a space. Pure.

Ranges are laid out first, then a layer's holdout, then shares in the order of the file; see `online.experiments.layout`.
"""

from collections.abc import Mapping
from itertools import combinations

from online.experiments import layout
from online.experiments.allocation import HOLDOUT, Cell, Layer, Test
from online.experiments.changes import NO_CHANGES
from online.experiments.file import CellEntry, ExperimentsFile, Ranges
from online.experiments.layout import BUCKETS, FREE, Range, Space
from online.experiments.rules import Rules
from shared.errors import ConfigError

FIRST_MS, LAST_MS = -(1 << 62), 1 << 62
"""Start and end of a test that has none."""


def cell_owners(where: str, claimant: str, cells: Mapping[str, CellEntry]) -> list[int]:
    """Which cell, by its place in the file, has each bucket of the test's space."""
    owners = [FREE] * BUCKETS
    if any(cell.ranges for cell in cells.values()):
        for at, (name, cell) in enumerate(cells.items()):
            if not cell.ranges or cell.share is not None:
                raise ConfigError(f"{where}, cell {name!r}: some cells have ranges, so each has ranges and no share")
            taken = layout.claim_ranges(owners, at, bucket_ranges(f"{where}, cell {name!r}", cell.ranges))
            if taken is not None:
                other = list(cells)[owners[taken]]
                raise ConfigError(f"{where}, cell {name!r}: its ranges overlap those of cell {other!r} at {taken / BUCKETS:g}")
        if FREE in owners:
            raise ConfigError(f"{where}: no cell has the range from {owners.index(FREE) / BUCKETS:g}; all of 0 to 1 is expected")
        return owners
    given = {name: cell.share for name, cell in cells.items() if cell.share is not None}
    if given and len(given) < len(cells):
        lacking = next(name for name in cells if name not in given)
        raise ConfigError(f"{where}, cell {lacking!r} has no share, but other cells do; a share in all or in none is expected")
    shares = [buckets_of_share(f"{where}, cell {name!r}", share) for name, share in given.items()]
    shares = shares or layout.equal_parts(len(cells))
    if sum(shares) != BUCKETS:
        raise ConfigError(f"{where}: its cells share {_percent(sum(shares))} of it; 100 % is expected")
    for at, (name, buckets) in enumerate(zip(cells, shares, strict=True)):
        layout.claim_share(owners, at, f"{claimant}/{name}", buckets)
    return owners


def lay_out(entries: ExperimentsFile, name: str, tests: Mapping[str, Test]) -> Layer:
    """A layer's space laid out: ranges, then the holdout, then shares in the order of the file."""
    where, entry = f"{entries.path}: layer {name!r}", entries.layers[name]
    held = buckets_of_share(f"{where}: holdout", entry.holdout)
    cell = Cell(HOLDOUT, NO_CHANGES, BUCKETS)
    space = Space(f"{entry.salt}\0")  # of one cell: any will do
    holdout = Test(f"{name}/{HOLDOUT}", name, Rules(), FIRST_MS, LAST_MS, held, space, (cell,), (cell,) * BUCKETS)
    members = [test for test in tests.values() if test.layer == name]
    total = held + sum(test.buckets for test in members)
    if total > BUCKETS:
        names = ", ".join(test.name for test in members) + (" and its holdout" if held else "")
        raise ConfigError(f"{where}: {names} share {_percent(total)} of it; 100 % is the most")
    owners = [FREE] * BUCKETS
    for at, test in enumerate(members):
        ranges = bucket_ranges(f"{entries.path}: test {test.name!r}", entries.tests[test.name].ranges)
        taken = layout.claim_ranges(owners, at, ranges)
        if taken is not None:
            other = members[owners[taken]].name
            raise ConfigError(
                f"{entries.path}: test {test.name!r}: its ranges overlap those of test {other!r} in layer {name!r} "
                f"at {taken / BUCKETS:g}"
            )
    layout.claim_share(owners, len(members), f"{entry.salt}/{HOLDOUT}", held)
    for at, test in enumerate(members):
        if not entries.tests[test.name].ranges:
            layout.claim_share(owners, at, f"{entry.salt}/{test.name}", test.buckets)
    all_tests = (*members, holdout)
    return Layer(name, Space(entry.salt), tuple(None if owner == FREE else all_tests[owner] for owner in owners))


def buckets_of_share(where: str, share: float) -> int:
    """How many buckets a share from 0 to 1 has.

    Raises
    ------
    ConfigError : it is outside, or finer than a bucket; `where` begins the message.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"{where}: share is {share:g}; 0 to 1 is expected")
    return _on_grid(where, "share", share)


def bucket_ranges(where: str, ranges: Ranges) -> list[Range]:
    """Ranges of 0 to 1 as buckets.

    Raises
    ------
    ConfigError : one is outside, empty or finer than a bucket, or two overlap; `where` begins the message.
    """
    found: list[Range] = []
    for first, end in ranges:
        if not 0 <= first < end <= 1:
            raise ConfigError(f"{where}: range [{first:g}, {end:g}] is no part of 0 to 1, the lower end first")
        found.append((_on_grid(where, "range", first), _on_grid(where, "range", end)))
    for one, other in combinations(sorted(found), 2):
        if other[0] < one[1]:
            raise ConfigError(f"{where}: two of its ranges overlap at {other[0] / BUCKETS:g}")
    return found


def _on_grid(where: str, what: str, value: float) -> int:
    buckets = round(value * BUCKETS)
    if abs(buckets - value * BUCKETS) > 1e-6:
        raise ConfigError(f"{where}: {what} {value!r} is finer than {1 / BUCKETS:g}")
    return buckets


def _percent(buckets: int) -> str:
    return f"{100 * buckets / BUCKETS:g} %"
