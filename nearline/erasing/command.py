"""The command `erase`."""

import sys

import click

from shared import cli


@click.command()
@click.argument("member_id", metavar="MEMBER")
@cli.config_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--redis-only", "is_redis_only", is_flag=True, help="Leave the lake alone.")
def erase(member_id: str, config_path: str | None, yes: bool, is_redis_only: bool) -> None:
    """Erase MEMBER from Redis, from the lake and from every future replay, and look for what is left. Workers may run.

    Redis: every key of the member goes. A tombstone without content stays in the state's place until Kafka has removed the
    member's records; it makes workers ignore them, whoever reads them again. A member who comes back begins anew.

    Lake: `python -m offline erase` is run, which removes the member's rows from all tables, the files of earlier versions that
    had them, and the member from saved models. Run it while no batch job runs: its help says why. When the lake cannot be reached
    from here, the command to run elsewhere is told.

    Kafka: the records stay on the topics, the dead letters too, until their retention ends. Until then they are ignored: by
    workers for the tombstone, by ingest and replay for the note that the lake keeps. Emptying Redis removes the tombstone:
    run this again if that happens before.

    Exit codes: 0 nothing of the member is left, 1 something is or the lake's part was not done, 2 Kafka or Redis cannot be
    reached or the configuration is wrong.
    """
    if not yes:
        click.confirm(f"Erase all that is known of member {member_id!r}? It cannot be undone", abort=True, err=True)
    from nearline.erasing.erase import run

    sys.exit(run(member_id, config_path, is_redis_only))
