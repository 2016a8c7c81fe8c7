"""`python -m nearline`: the stream worker."""

import sys

import click

from nearline import audit_commands
from shared import cli, config


@click.group(cls=cli.Group, context_settings={"help_option_names": ["-h", "--help"]})
@cli.log_options
def main() -> None:
    """The nearline layer: keeps every member's live state in Redis up to date with what they play.

    It reads the topics `plays` and `feedback` from Kafka, folds each event into the member's state, and writes the state to
    Redis so that a crash at any moment neither loses an event nor counts one twice.
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


main.add_command(audit_commands.verify)
main.add_command(audit_commands.repair)


if __name__ == "__main__":
    main(prog_name="python -m nearline")
