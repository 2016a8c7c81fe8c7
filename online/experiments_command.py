"""`python -m online experiments`: look at the experiments file, and at what it gives a member."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from online.experiments import Context, Experiments, allocate, load_experiments
from online.experiments.allocation import Test
from online.experiments.layout import BUCKETS, as_ranges
from online.experiments.shares import FIRST_MS, LAST_MS
from online.plans import Plans
from online.requesting import checked_request
from shared import cli, config
from shared.config import Config
from shared.errors import ConfigError, InputError
from shared.pages.devices import Devices


@click.group()
def experiments() -> None:
    """Check the experiments file, and ask it for a member's cells."""


_FILE = click.option(
    "--file",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Experiments file. Default: [online] experiments of the configuration.",
)


@experiments.command()
@_FILE
@cli.config_option
def check(file: Path | None, config_path: str | None) -> None:
    """Check the file, and print its tests and cells."""
    found = _load(file, config.load(config_path))
    if found.holdout is not None:
        click.echo(f"Held out from all tests: {_percent(found.holdout.buckets / BUCKETS)} of all members\n")
    rows = [
        (test.layer, test.name, _percent(test.buckets / BUCKETS), cell.name, _percent(cell.buckets / BUCKETS), str(cell.changes))
        for test in found.tests
        for cell in test.cells
    ]
    _print_table(("layer", "test", "of the layer", "cell", "of the test", "changes"), _without_repeats(rows, columns=3))
    if found.tests:
        click.echo()
    _print_table(("test", "for", "from", "until", "overrides"), [_conditions(found, test) for test in found.tests])
    click.echo(f"\n{_number(len(found.layers), 'layer')}, {_number(len(found.tests), 'test')}: no mistakes")
    for layer in found.layers:
        ranges = as_ranges([BUCKETS if test is None else 0 for test in layer.test_of], BUCKETS)
        free = sum(end - first for first, end in ranges)
        click.echo(f"Free in layer {layer.name}: {_percent(free / BUCKETS)}")


@experiments.command()
@_FILE
@cli.config_option
@click.option("--members", metavar="N", type=click.IntRange(1), help="Also print how many of N members that is.")
def sizes(file: Path | None, config_path: str | None, members: int | None) -> None:
    """Print the share of the members to whom its rules apply that each cell is expected to get."""
    found = _load(file, config.load(config_path))
    held = 0.0 if found.holdout is None else found.holdout.buckets / BUCKETS
    shares = [("holdout", "holdout", held)] if held else []
    for layer in found.layers:
        for test in dict.fromkeys(test for test in layer.test_of if test is not None):
            tested = (1.0 - held) * layer.test_of.count(test) / BUCKETS
            shares += [(test.name, cell.name, tested * cell.buckets / BUCKETS) for cell in test.cells]
    head = ("test", "cell", "of all members") if members is None else ("test", "cell", "of all members", f"of {members:,}")
    rows = [
        (test, cell, _percent(share)) if members is None else (test, cell, _percent(share), f"{share * members:,.0f}")
        for test, cell, share in shares
    ]
    _print_table(head, rows)
    if not rows:
        click.echo("The file has no tests.")


@experiments.command("allocate")
@click.argument("member")
@_FILE
@cli.config_option
@click.option("--country", metavar="CODE", help="Country of the request, such as US.")
@click.option("--device", default="tv", show_default=True, help="Device of the request.")
@click.option("--known/--cold", "is_known", default=True, show_default=True, help="Whether anything is known about the member.")
@click.option("--attribute", "attributes", metavar="NAME=VALUE", multiple=True, help="What the request says about the member.")
@click.option("--at", "at", metavar="TIME", help="Moment of the request, such as 2026-11-21T20:00:00Z. Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print the cells and what they change as one JSON object.")
def allocate_member(
    member: str,
    file: Path | None,
    config_path: str | None,
    country: str | None,
    device: str,
    is_known: bool,
    attributes: tuple[str, ...],
    at: str | None,
    as_json: bool,
) -> None:
    """Print the cells that MEMBER is in."""
    loaded = config.load(config_path)
    found = _load(file, loaded)
    request = checked_request(
        member,
        device,
        country,
        None if at is None else _moment(at),
        attributes=dict(map(_attribute, attributes)),
        devices=Devices(loaded.page, loaded.online),
    )
    context = Context(request.now_ms, request.device, request.country, is_known, request.attributes)
    allocation = allocate(found, request.member_id, context)
    if as_json:
        click.echo(msgspec.json.encode(allocation))
        return
    _print_table(("test", "cell"), list(allocation.cells.items()))
    click.echo(f"\nChanges: {allocation.changes}" if allocation.cells else f"{member} is in no test.")


def _load(file: Path | None, loaded: Config) -> Experiments:
    """The file, held to what this configuration has: its devices, and the policies and rows that there are."""
    named = loaded.online.experiments if file is None else file
    if not named:
        raise ConfigError("no experiments file: [online] experiments of the configuration is empty; name one with --file")
    return load_experiments(named, Plans(loaded).known)


def _conditions(found: Experiments, test: Test) -> tuple[str, ...]:
    overrides = sum(any(of is test for of, _ in forced.cells) for forced in found.forced.values())
    start = "" if test.start_ms == FIRST_MS else _time(test.start_ms)
    end = "" if test.end_ms == LAST_MS else _time(test.end_ms)
    return test.name, str(test.rules), start, end, _number(overrides, "member") if overrides else ""


def _without_repeats(rows: Sequence[tuple[str, ...]], columns: int) -> list[tuple[str, ...]]:
    """Leave the first columns empty where they say the same as the row above."""
    above = (None, *rows[:-1])
    return [
        ("",) * columns + row[columns:] if last is not None and row[:columns] == last[:columns] else row
        for last, row in zip(above, rows, strict=True)
    ]


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"--attribute is {text!r}; NAME=VALUE is expected")
    return name, value


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--at is {text!r}; a time such as 2026-11-21T20:00:00Z is expected") from None
    return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
