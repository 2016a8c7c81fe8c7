"""What every command line of Marquee does alike: errors as one sentence with exit code 2, `--config`, `--verbose`."""

import sys
from collections.abc import Callable
from typing import Any

import click

from shared import logs
from shared.errors import MarqueeError


class Group(click.Group):
    """A command group that prints a `MarqueeError` as one sentence and exits with 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MarqueeError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)


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
    """Add `--log-level` and `--log-json / --log-text` to a group, and configure logging from them."""

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
