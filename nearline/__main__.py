"""`python -m nearline`: the stream worker, and what its operator needs."""

import sys

import click

from nearline.auditing import commands as audit_commands
from nearline.dead_letters import commands as dead_letter_commands
from nearline.erasing import command as erase_command
from shared import cli, config


@click.group(cls=cli.Group, context_settings={"help_option_names": ["-h", "--help"]})
@cli.log_options
def main() -> None:
    """The nearline layer: keeps every member's live state in Redis up to date with what they play.

    A worker reads `plays` and `feedback` from Kafka, folds each event into the member's state, and writes the state to Redis so
    that a crash at any moment neither loses an event nor counts one twice. With `impressions` it counts what is trending, and
    it retrieves fresh candidates for members who gave a signal. The other commands look after what the workers keep.
    """


@main.command()
@cli.config_option
@click.option(
    "--instance",
    metavar="NAME",
    default=None,
    help="A name that stays the same when this worker is started again, such as the host's or the pod's. After a crash its "
    "successor of the same name goes on at once, instead of when the session times out. No two running workers may share it.",
)
def worker(config_path: str | None, instance: str | None) -> None:
    """Run one worker until it is stopped.

    Start as many as you like, up to the number of partitions: they share the work, and take over from one that dies. The
    worker prints a line that begins with `ready:` once it has its partitions. SIGTERM or Ctrl-C finish the batch in hand.

    Exit codes: 0 stopped, 1 a failure that lasted (the error says which; start it again), 2 Kafka or Redis could not be
    reached at the start, or the configuration is wrong.
    """
    loaded = config.load(config_path)
    from nearline.worker import Worker  # faust takes a second to import: not for --help or a wrong configuration

    sys.exit(Worker(loaded, instance).run())


@main.command()
@cli.config_option
@click.option("--partitions", metavar="N", required=True, type=click.IntRange(min=1), help="How many each topic shall have.")
@click.option(
    "--quiet-s",
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    help="Go on only when no record has come for so long.",
)
def repartition(config_path: str | None, partitions: int, quiet_s: float) -> None:
    """Give plays, feedback and impressions more partitions, by a drained cut-over.

    Stop the producers, let the workers catch up, and run this; it refuses while either is not so. It tells what to start
    again. When it was interrupted, running it again completes it.

    Exit codes: 0 done, 2 refused (the error says why), or Kafka or Redis could not be reached.
    """
    loaded = config.load(config_path)
    from nearline.repartition import repartition as give  # the Kafka client takes a while to import

    give(loaded, partitions, quiet_s, click.echo)


main.add_command(dead_letter_commands.group)
main.add_command(audit_commands.verify)
main.add_command(audit_commands.repair)
main.add_command(erase_command.erase)


if __name__ == "__main__":
    main(prog_name="python -m nearline")
