"""The commands `verify` and `repair`."""

import sys
from collections.abc import Callable
from typing import Any

import click

from shared import cli


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--wait-s",
            type=click.FloatRange(min=0),
            default=30.0,
            show_default=True,
            help="How long to wait at the start until the workers have taken in what the topics hold.",
        ),
        click.option(
            "--members-per-pass",
            type=click.IntRange(min=1),
            default=100_000,
            show_default=True,
            help="Members held in memory at a time. A partition with more of them is read several times.",
        ),
        click.option("--json", "json_path", metavar="FILE", default=None, help="Also write the result to this file."),
        cli.config_option,
    ):
        function = option(function)
    return function


@click.command()
@_options
def verify(config_path: str | None, json_path: str | None, members_per_pass: int, wait_s: float) -> None:
    """Compare every member's state in Redis with the log, byte for byte. Changes nothing.

    The plays and feedback that Kafka holds now are folded from the beginning, and each state is compared with the fold up to
    the state's own fence; so the result is exact also while workers run. Members in Redis that the log has never heard of are
    found too.

    Where the log is not whole, because Kafka has removed old records or the member has imported history, the state must contain
    all that the log has, and more cannot be asked: such members are counted as `contained`.

    Exit codes: 0 all states are as the log says, 1 some are not, 2 Kafka or Redis cannot be reached or the configuration is
    wrong.
    """
    from nearline.auditing.verify import run  # aiokafka and numpy take a while to import: not for --help

    sys.exit(run(config_path, json_path, members_per_pass, wait_s))


@click.command()
@_options
def repair(config_path: str | None, json_path: str | None, members_per_pass: int, wait_s: float) -> None:
    """Install the fold of the log for every member whose state differs or is missing. Workers may run meanwhile.

    First compares as `verify` does. A state that differs is replaced by the fold of all that Kafka holds; where the log is not
    whole, the two are merged, so that nothing older or imported gets lost. Of a state that cannot be read at all only what Kafka
    holds comes back: run `python -m offline replay --force` afterwards, which merges the rest in from the lake. Members that
    only Redis knows are left as they are (`python -m nearline erase` removes one), those that wait for a worker too. At the end
    all states are compared again; that second result decides the exit code and goes to --json.

    Exit codes: 0 all states are as the log says, 1 some are still not, 2 Kafka or Redis cannot be reached or the configuration
    is wrong.
    """
    from nearline.auditing.repair import run

    sys.exit(run(config_path, json_path, members_per_pass, wait_s))
