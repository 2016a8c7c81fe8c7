"""`python -m infra.local up | down | status | logs`: a real Kafka and Redis on this machine."""

import sys
import time
from pathlib import Path

import click

from infra.local import daemon
from infra.local.process import tail
from shared.cli import Group
from shared.config import KafkaConfig
from shared.errors import InputError

ROOT = Path(__file__).parents[2] / ".marquee"


def root_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add `--root DIR`."""
    return click.option(
        "--root",
        type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
        default=ROOT,
        metavar="DIR",
        help="Folder of the stack: stack/ (data and logs), lake/, marquee.toml.  [default: .marquee in the checkout]",
    )(function)


@click.group(cls=Group)
def main() -> None:
    """Run a real Kafka broker and a real Redis on this machine, for development and tests.

    Both listen on 127.0.0.1 only, and keep their data between runs. `up` also creates Marquee's topics and writes the
    marquee.toml that every other command finds.
    """


@main.command()
@root_option
@click.option("--kafka-port", type=click.IntRange(1, 65535), help="Default: the port used last time, or a free one.")
@click.option("--redis-port", type=click.IntRange(1, 65535), help="Default: the port used last time, or a free one.")
@click.option(
    "--partitions",
    type=click.IntRange(1, 1000),
    default=KafkaConfig().partitions,
    show_default=True,
    help="Partitions of each topic when it is created.",
)
def up(root: Path, kafka_port: int | None, redis_port: int | None, partitions: int) -> None:
    """Start the stack, wait until it serves, and leave it running."""
    began = time.monotonic()
    is_new = daemon.up(root, kafka_port, redis_port, partitions)
    config = daemon.settings(root)
    click.echo(f"up ({time.monotonic() - began:.1f} s)" if is_new else "already up")
    click.echo(f"  Redis   {config.redis.url}")
    click.echo(f"  Kafka   {config.kafka.bootstrap_servers}")
    click.echo(f"  lake    {config.lake.root}")
    click.echo(f"  config  {root / 'marquee.toml'}")


@main.command()
@root_option
def down(root: Path) -> None:
    """Stop the stack in good order; its data stays."""
    began = time.monotonic()
    was_up = daemon.down(root)
    click.echo(f"down ({time.monotonic() - began:.1f} s)" if was_up else "not running")


@main.command()
@root_option
def status(root: Path) -> None:
    """Ask each server whether it serves; exit code 1 when one does not, or the stack is down."""
    servers = daemon.health(root)
    for server in servers:
        click.echo(f"  {server.name:7} {server.address:32} {_condition(server)}")
    if not servers:
        click.echo(f"down: no stack runs in {root}")
    if not servers or any(server.problem for server in servers):
        sys.exit(1)


@main.command()
@root_option
@click.argument("names", nargs=-1, metavar="[kafka] [redis] [supervisor]")
@click.option("--lines", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Last lines of each.")
def logs(root: Path, names: tuple[str, ...], lines: int) -> None:
    """Print the ends of the logs (all of them by default)."""
    files = daemon.log_files(root)
    for name in names or tuple(files):
        if name not in files:
            raise InputError(f"no log is called {name!r}; there are {', '.join(files)}")
        click.echo(f"==> {files[name]}")
        for line in tail(files[name], lines):
            click.echo(line)


def _condition(server: daemon.Health) -> str:
    return f"down: {server.problem}" if server.problem else f"up, process {server.pid}"


if __name__ == "__main__":
    main(prog_name="python -m infra.local")
