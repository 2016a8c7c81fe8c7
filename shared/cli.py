"""What every command line of Marquee does alike: errors as one sentence with exit code 2, `--config`, `--log-level`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from shared import logs
from shared.errors import MarqueeError


@contextmanager
def _told() -> Iterator[None]:
    """Print a `MarqueeError` as one sentence and exit with 2."""
    try:
        yield
    except MarqueeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


class Group(click.Group):
    """A command group whose errors are one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        with _told():
            return super().invoke(ctx)


class Command(click.Command):
    """A single command whose errors are one sentence and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        with _told():
            return super().invoke(ctx)


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config FILE` to a command."""
    return click.option(
        "--config",
        "config_path",
        metavar="FILE",
        default=None,
        help="Configuration file. Default: $MARQUEE_CONFIG, ./marquee.toml, or the one that the local stack wrote.",
    )(function)


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--log-level` to a command or group, and configure logging from it."""

    def configure(ctx: click.Context, param: click.Parameter, value: str) -> str:
        logs.configure(value.upper())
        return value

    return click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        default="warning",
        show_default=True,
        expose_value=False,
        callback=configure,
        help="How much to log, as JSON lines on standard error (plain text on a terminal).",
    )(function)
