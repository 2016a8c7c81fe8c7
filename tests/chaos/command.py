"""The crash proof in its long form: as many runs as asked for, every fault in turn, and a table at the end."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click

from infra.local.worker import ROOT
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.orders import Guard
from tests.chaos.runs import Outcome, Runs

GUARD_SEEDS = 8
"""With a guard taken out, one of so many seeds has to lose or double something."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", "count", default=200, show_default=True, help="How many runs; the faults take turns.")
@click.option("--seed", default=1, show_default=True, help="Seed of the first run; each further one has the next.")
@click.option("--only", default="", help="Only faults whose name contains this.")
@click.option("--jobs", default=2, show_default=True, help="Runs at the same time.")
@click.option("--guards", is_flag=True, help="Take out each guard in turn instead, until its test fails.")
@click.option("--journal", type=click.Path(path_type=Path), help="Remembers runs; those of the same code are not done again.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where servers work, and what a failed run leaves is kept.")
def main(count: int, seed: int, only: str, jobs: int, guards: bool, journal: Path | None, folder: Path | None) -> None:
    """Kill the nearline layer's parts at seeded moments and compare what is left with a plain fold of the log.

    Exit codes: 0 nothing lost and nothing doubled in any run (with --guards: every guard's test fails without it), 1 otherwise.
    """
    faults = [fault for fault in FAULTS if only.lower() in fault.name.lower()]
    if not faults:
        raise click.UsageError(f"no fault's name contains {only!r}; there are: " + ", ".join(fault.name for fault in FAULTS))
    code = fingerprint()
    known = _known(journal, code)
    with Runs(folder or Path(tempfile.mkdtemp(prefix="marquee-chaos-"))) as runs:
        if guards:
            sys.exit(0 if _show_guards(runs, faults, seed) else 1)
        wanted = [(faults[number % len(faults)], seed + number) for number in range(count)]
        outcomes = [known[fault.name, at] for fault, at in wanted if (fault.name, at) in known]
        for outcome in _do(runs, [item for item in wanted if (item[0].name, item[1]) not in known], jobs):
            click.echo(f"{len(outcomes) + 1:4}/{count}  {outcome.line()}")
            outcomes.append(outcome)
            if journal is not None:
                journal.parent.mkdir(parents=True, exist_ok=True)
                with journal.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps({"code": code, **outcome.as_dict()}) + "\n")
    click.echo("\n" + table(outcomes))
    sys.exit(0 if all(outcome.is_clean for outcome in outcomes) else 1)


def _do(runs: Runs, wanted: list[tuple[Fault, int]], jobs: int) -> Iterator[Outcome]:
    """Runs side by side, as they end."""
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(runs.run, fault, seed) for fault, seed in wanted]):
            yield future.result()


def _show_guards(runs: Runs, faults: Iterable[Fault], seed: int) -> bool:
    """Take out each guard of each fault; whether every one was missed within `GUARD_SEEDS` seeds."""
    is_shown = True
    for fault in faults:
        for guard in fault.guards:
            outcome = first_failure(runs, fault, guard, seed)
            is_shown &= outcome is not None
            click.echo(outcome.line() if outcome else f"{fault.name} without {guard}: NOT MISSED in {GUARD_SEEDS} runs")
    return is_shown


def first_failure(runs: Runs, fault: Fault, guard: Guard, seed: int) -> Outcome | None:
    """The first run without a guard in which something was lost or doubled; None when nothing was in any."""
    for number in range(GUARD_SEEDS):
        outcome = runs.run(fault, seed + number, guard)
        if outcome.lost or outcome.doubled:
            return outcome
    return None


def table(outcomes: Iterable[Outcome]) -> str:
    """Runs, faults, lives, lost and doubled events by fault."""
    rows: dict[str, list[int]] = {}
    for outcome in outcomes:
        row = rows.setdefault(outcome.fault, [0, 0, 0, 0, 0])
        for column, value in enumerate((1, outcome.strikes, outcome.lives, outcome.lost, outcome.doubled)):
            row[column] += value
    total = [sum(row[column] for row in rows.values()) for column in range(5)]
    lines = [f"{'fault':34}{'runs':>6}{'faults':>8}{'lives':>7}{'lost':>6}{'doubled':>9}"]
    for name, row in [*((fault.name, rows[fault.name]) for fault in FAULTS if fault.name in rows), ("all", total)]:
        lines.append(f"{name:34}{row[0]:6}{row[1]:8}{row[2]:7}{row[3]:6}{row[4]:9}")
    return "\n".join(lines)


def fingerprint() -> str:
    """Of the code that is judged and of what judges it: a run in the journal counts as long as both are the same."""
    found = hashlib.sha256()
    for package in ("shared", "nearline", "tests/chaos"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _known(journal: Path | None, code: str) -> dict[tuple[str, int], Outcome]:
    if journal is None or not journal.exists():
        return {}
    known: dict[tuple[str, int], Outcome] = {}
    for entry in map(json.loads, journal.read_text(encoding="utf-8").splitlines()):
        if entry.pop("code") == code:
            known[entry["fault"], entry["seed"]] = Outcome(**{**entry, "details": tuple(entry["details"])})
    return known
