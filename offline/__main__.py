"""`python -m offline JOB`: the batch jobs, one by one or as a night's run. Also what `spark-submit infra/submit.py` runs."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import click

from offline.evaluation.asking import Request
from offline.evaluation.command import compare_command, evaluate_command
from offline.evaluation.pages.command import evaluate_pages_command
from offline.training.command import train_command
from shared import config as configuration
from shared import erasure, store, topics
from shared.cli import Group, config_option, log_options
from shared.config import Config


@click.group(cls=Group)
@log_options
def main() -> None:
    """Marquee's offline layer: batch jobs on Spark that land events in the lake, train models and publish snapshots.

    A usual day is `import` once, then `nightly` on a schedule. Each job is skipped when nothing it depends on has changed;
    `python -m offline runs` shows what ran.
    """


_JOBS = {
    "ingest": "Land the Kafka topics in Delta: bronze as they came, silver by event_id, the unreadable in quarantine.",
    "replay": "Fold the whole log into member states and merge them into Redis.",
    "similar": "Find each title's nearest neighbours in the newest model.",
    "popularity": "Rank the catalogue by plays: overall, lately, and by country.",
    "candidates": "Rank the best titles for every member with the newest model.",
    "publish": "Put a new snapshot into Redis, verify it, and flip the pointer.",
}

Server = Literal["redis", "kafka"]
_NEEDS: dict[str, tuple[Server, ...]] = {"ingest": ("redis", "kafka"), "replay": ("redis",), "publish": ("redis",)}
_WITH_MODEL = ("similar", "candidates")


def _context(
    config_path: str | None, app: str, needs: Sequence[Server] = (), check: Callable[[Config], None] | None = None
) -> Any:
    """Load and check the configuration and ask the servers first, so that what is wrong is told before Spark starts."""
    config = configuration.load(config_path)
    if check is not None:
        check(config)
    for server in needs:
        _ask(server, config)
    from offline.jobs import Context
    from shared.lake import Lake

    return Context(config, Lake.open(config, app), int(time.time() * 1000), say=click.echo)


def _check_model(config: Config, name: str | None = None) -> None:
    """Refuse a model, the one in use where none is named, that does not exist or cannot have its settings."""
    from offline.training.configured import configured_model

    configured_model(config.training, name)


def _ask(server: Server, config: Config) -> None:
    if server == "kafka":
        topics.describe(config.kafka, [config.kafka.plays_topic, config.kafka.feedback_topic, config.kafka.impressions_topic])
        return
    with store.reachable(config.redis), store.connect(config.redis) as client:
        client.ping()


def _add(name: str, summary: str) -> None:
    @main.command(name, help=summary)
    @config_option
    @click.option("--force", is_flag=True, help="Run even when nothing has changed.")
    def command(config_path: str | None, force: bool) -> None:
        context = _context(config_path, name, _NEEDS.get(name, ()), _check_model if name in _WITH_MODEL else None)
        from offline.dag import BY_NAME
        from offline.jobs import run_all

        run_all([BY_NAME[name]], context, force=force)


for _name, _summary in _JOBS.items():
    _add(_name, _summary)


@main.command("import")
@click.argument("folder")
@config_option
@click.option("--force", is_flag=True, help="Run even when the folder's files have not changed.")
def import_(folder: str, config_path: str | None, force: bool) -> None:
    """Bring a FOLDER of titles and history into the lake; importing it twice adds nothing.

    FOLDER is one of the MovieLens data sets as published (ml-100k, ml-1m, ml-latest-small, ml-20m and later), or titles.* with
    interactions.* or plays.*, each a .csv, .csv.gz or .parquet file or a folder of such files. Lines that cannot be used go to
    quarantine, up to the limits in the section [imports]; past them nothing is imported.
    """
    configuration.load(config_path)
    from offline.importing import job
    from offline.jobs import run_all

    wanted = job(folder)  # a mistake in the folder is told before Spark starts
    run_all([wanted], _context(config_path, "import"), force=force)


@main.command()
@config_option
@click.option("--force", is_flag=True, help="Run every job, also those whose inputs have not changed.")
def nightly(config_path: str | None, force: bool) -> None:
    """Run ingest, replay, train, similar, popularity, candidates, evaluate and publish, in this order.

    After a failure, run it again: jobs that succeeded and whose inputs have not changed since are skipped.
    """
    context = _context(config_path, "nightly", _NEEDS["ingest"], _check_model)
    from offline.dag import NIGHTLY
    from offline.jobs import run_all

    run_all(NIGHTLY, context, force=force)


def _evaluate_on_lake(request: Request) -> Any:
    def check(_: Config) -> None:
        from offline.evaluation.metrics import parse_metrics
        from offline.models import create_model

        parse_metrics(request.metrics)
        for name, settings in request.models.values():
            create_model(name, **settings)

    context = _context(request.config_path, "evaluate", check=check)
    from offline.evaluate import on_lake
    from offline.evaluation.floors import FLOOR

    return on_lake(
        context.lake,
        request.models,
        request.metrics,
        context.config.training.test_share,
        request.keep_seen,
        segments=request.segments,
        baseline=request.baseline or FLOOR,
    )


def _train_on_lake(config_path: str | None, model: str | None, force: bool) -> None:
    context = _context(config_path, "train", check=partial(_check_model, name=model))
    from offline.jobs import run_all
    from offline.training.jobs import train_job

    run_all([train_job(model)], context, force=force)


main.add_command(train_command(_train_on_lake))
main.add_command(evaluate_command(_evaluate_on_lake))
main.add_command(compare_command(_evaluate_on_lake))
main.add_command(evaluate_pages_command())


@main.command()
@click.argument("member_id", metavar="MEMBER")
@config_option
@click.option("--ends", default=None, hidden=True, help="Where the topics ended, as JSON: `python -m nearline erase` says it.")
def erase(member_id: str, config_path: str | None, ends: str | None) -> None:
    """Erase MEMBER from the lake. `python -m nearline erase MEMBER` calls this, and does Redis as well.

    Removes the member's rows from every table, the files that earlier versions of those tables still had, and the member from
    saved models; then looks for what is left and tells it. The erasure is written down by a hash of the id, so that neither
    ingest, replay nor import brings back what lay before it; events that come later count again.

    Run it while no other job runs: the files that only earlier versions need are removed at once (VACUUM with no retention,
    where Delta waits a week), and a job at work has such files too. Earlier versions of the tables that had the member can no
    longer be read.

    Exit codes: 0 nothing of the member is left, 1 something is, 2 the lake cannot be used or the configuration is wrong.
    """
    upto = None if ends is None else erasure.parse(ends)
    context = _context(config_path, "erase", _NEEDS["ingest"] if upto is None else ())
    from offline.erase import job
    from offline.jobs import run_all

    [outcome] = run_all([job(member_id, upto)], context, force=True)
    sys.exit(0 if outcome.details["left"] == "0" else 1)


@main.command()
@config_option
@click.option("--arm", default=None, help="The arm to roll back. Default: the configured one.")
def rollback(config_path: str | None, arm: str | None) -> None:
    """Let an arm serve the snapshot that it served before the last publish."""
    context = _context(config_path, "rollback", _NEEDS["publish"])
    from offline.publish import rollback as roll_back

    arm = arm or context.config.online.arm
    click.echo(f"arm {arm!r} serves snapshot {roll_back(context, arm)} again")


@main.command()
@config_option
@click.option("--limit", default=20, show_default=True, help="How many runs to show, the newest first.")
def runs(config_path: str | None, limit: int) -> None:
    """Show what ran: time, job, status, seconds, and what each did."""
    context = _context(config_path, "runs")
    from pyspark.sql import functions as F

    from shared import tables
    from shared.lake import root_cause

    for row in context.lake.read(tables.RUNS).orderBy(F.desc("started_at_ms")).limit(limit).collect():
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["started_at_ms"] / 1000))
        details = ", ".join(f"{name} {value}" for name, value in (row["details"] or {}).items() if "\n" not in value)
        error = f"  {root_cause(RuntimeError(row['error']))}" if row["error"] else ""
        click.echo(f"{at}  {row['job']:<12} {row['status']:<8} {row['seconds']:7.1f} s  {details}{error}")


if __name__ == "__main__":
    main(prog_name="python -m offline")
