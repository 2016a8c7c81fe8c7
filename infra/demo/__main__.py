"""`make demo`: the whole pipeline on real components on one machine, from play histories to a page that changes live."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from infra.demo.impressions import impressions, sample_pages
from infra.demo.steps import Steps
from infra.demo.world import World, check_sizes
from infra.local import state
from infra.local.stack import LocalStack
from infra.local.worker import NearlineWorker, wait_caught_up
from shared.cli import Command, log_options
from shared.config import Config
from shared.errors import ConflictError

if TYPE_CHECKING:
    from offline.jobs import Context

HOUR_MS = 3_600_000
STREAMED_MS = 24 * HOUR_MS
"""The newest part of the simulated plays, which comes through Kafka instead of from a file."""
STREAMED_PAGES = 2_000
"""Of the pages of that time, drawn at random: what the ranker learns from."""
WORKER_LIMIT_S = 120.0
STEP_NAMES = {
    "import": "import: files to Delta",
    "ingest": "ingest: Kafka to Delta",
    "replay": "replay: the log to member states, to Redis",
    "train": "train: fit and blend models",
    "similar": "similar: neighbours of every title",
    "popularity": "popularity: overall, lately, by country",
    "candidates": "candidates: top-K for every member",
    "ranker": "ranker: learn from pages that were shown",
    "evaluate": "evaluate: on a split by time",
    "publish": "publish: a snapshot to Redis, verified",
}
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"
"""Jobs of seconds end before the optimising compiler has paid for itself; the other one alone has 48 MB for code by default."""


@click.command(cls=Command)
@log_options
@click.option("--data", type=click.Path(path_type=Path), help="A folder with your own data. Default: a simulated service.")
@click.option("--members", default=20_000, show_default=True, help="Members of the simulated service.")
@click.option("--titles", default=3_000, show_default=True, help="Its titles.")
@click.option("--plays", default=1_000_000, show_default=True, help="Its plays.")
@click.option("--seed", default=7, show_default=True, help="Its seed.")
@click.option("--root", type=click.Path(path_type=Path), default=Path(".marquee/demo"), show_default=True, help="Working folder.")
def main(data: Path | None, members: int, titles: int, plays: int, seed: int, root: Path) -> None:
    """Take play histories through Kafka, Delta, Spark, Redis and Faust to one member's page, and change it live.

    Starts a Kafka and a Redis of its own and stops them at the end. The page is also written as an HTML file.
    """
    from offline import importing

    steps = Steps()
    name = "world" if data is None else data.resolve().name
    folder = root / name
    # Before anything is started: what cannot be used is told at once.
    import_job = importing.job(str(data)) if data is not None else None
    check_sizes(members, titles, plays)
    if state.is_locked(folder / "stack"):
        raise ConflictError(f"another demo is running in {folder}; wait for its end, or name another folder with --root")
    shutil.rmtree(folder, ignore_errors=True)
    began_s = time.monotonic()
    with LocalStack(folder) as stack, ThreadPoolExecutor(1) as background:
        steps.record(
            "start Kafka and Redis",
            time.monotonic() - began_s,
            f"{stack.config.kafka.bootstrap_servers}, {stack.config.redis.url}",
        )
        config = _config(stack.config)
        opening = background.submit(_open_lake, config)
        if import_job is None:
            _simulate(steps, config, folder / "history", members, titles, plays, seed)
            import_job = importing.job(str(folder / "history"))
        with steps.step("start Spark, create the tables"):
            context = opening.result()
        _run_jobs(steps, context, import_job)
        with steps.step("start the nearline worker, catch up"):
            worker = NearlineWorker(folder / "marquee.toml")
            worker.start(WORKER_LIMIT_S)
            wait_caught_up(config, WORKER_LIMIT_S)
        try:
            _show_live(steps, context, folder)
        finally:
            worker.stop()
        context.lake.spark.stop()
    steps.console.print(steps.table())
    steps.console.print(f"\n[bold]{time.monotonic() - began_s:.0f} s in all.[/] Data, logs and the page are in {folder}")
    steps.console.print(f"Open [bold]{folder / 'page.html'}[/] in a browser.")


def _config(stack: Config) -> Config:
    replace = msgspec.structs.replace
    settings = {"spark.driver.extraJavaOptions": QUICK_JVM}
    return replace(stack, spark=replace(stack.spark, shuffle_partitions=4, settings=settings))


def _open_lake(config: Config) -> "Context":
    from offline.jobs import Context
    from shared.lake import Lake

    return Context(config, Lake.open(config, "demo"), int(time.time() * 1000))


def _simulate(steps: Steps, config: Config, folder: Path, members: int, titles: int, plays: int, seed: int) -> None:
    """Write the older plays as files, send the newest through Kafka."""
    with steps.step("simulate a streaming service"):
        end_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS
        world = World.generate(members=members, titles=titles, plays=plays, end_ms=end_ms, seed=seed)
        world.write(folder, until_ms=end_ms - STREAMED_MS)
        steps.facts(f"{members:,} members, {titles:,} titles, {plays:,} plays in 60 days")
    with steps.step("send the last day's plays and some of its pages through Kafka"):
        plays_sent = ((play["member_id"], play["at_ms"], play) for play in world.events_after(end_ms - STREAMED_MS, in_full=True))
        shown = impressions(world, sample_pages(world, end_ms - STREAMED_MS, STREAMED_PAGES))
        sent = _produce(config, config.kafka.plays_topic, plays_sent)
        pages_sent = _produce(config, config.kafka.impressions_topic, ((page.member_id, page.at_ms, page) for page in shown))
        steps.facts(f"{sent:,} events, {pages_sent:,} pages, acknowledged")


def _produce(config: Config, topic: str, events: Iterator[tuple[str, int, Any]]) -> int:
    """Send events, each with its member and the time it happened, which is also when it arrives; how many."""
    from kafka import KafkaProducer

    encode = msgspec.json.Encoder().encode
    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers, acks="all", linger_ms=20, batch_size=256 * 1024)
    try:
        sent = [
            producer.send(topic, key=member_id.encode(), value=encode(event), timestamp_ms=at_ms)
            for member_id, at_ms, event in events
        ]
        producer.flush(timeout=60)
        for future in sent:
            future.get(timeout=config.kafka.timeout_s)
    finally:
        producer.close(timeout=config.kafka.timeout_s)
    return len(sent)


def _run_jobs(steps: Steps, context: "Context", import_job: Any) -> None:
    """Import, then the night's jobs, each a step."""
    from offline.dag import NIGHTLY
    from offline.jobs import run

    for job in (import_job, *NIGHTLY):
        with steps.step(STEP_NAMES.get(job.name, job.name)):
            outcome = run(job, context)
            facts = {name: value for name, value in outcome.details.items() if "\n" not in value}
            if "report" not in outcome.details:  # it says the same at length
                steps.facts(", ".join(f"{name} {value}" for name, value in facts.items()))
        if "report" in outcome.details:
            steps.print(outcome.details["report"])


def _show_live(steps: Steps, context: "Context", folder: Path) -> None:
    """Show a member's page, play a title, show the page again, and write both as HTML."""
    from infra.demo.live import play_live
    from online import Recommender
    from online.drawing import draw_change, text_page

    member_id, country = _choose_member(context)
    with Recommender(context.config) as recommender:
        change = play_live(context.config, recommender, member_id, country)
    steps.console.print()
    click.echo(text_page(change.before, colours=True))
    headline = f"{member_id} played “{change.title}” · the page changed {change.seconds * 1000:.0f} ms after Kafka had it"
    steps.console.print(f"\n[bold yellow]▶ {headline}[/]\n")
    click.echo(text_page(change.after, change.before, colours=True))
    steps.console.print()
    steps.record("live play to changed page", change.seconds, f"{change.seconds * 1000:.0f} ms after the acknowledgement")
    (folder / "page.html").write_text(draw_change(change.before, change.after, headline), encoding="utf-8")


def _choose_member(context: "Context") -> tuple[str, str | None]:
    """A member with a history worth showing, and their country: something in progress if anybody has, many plays."""
    from pyspark.sql import functions as F

    from shared import tables
    from shared.titles import UNKNOWN_COUNTRY

    share = F.col("position_s") / F.col("runtime_s")
    members = (
        context.lake.read(tables.PLAYS)
        .groupBy("member_id")
        .agg(
            F.count("*").alias("plays"),
            F.least(F.sum(((share > 0.1) & (share < 0.85)).cast("int")), F.lit(3)).alias("begun"),
            F.max_by("country", "at_ms").alias("country"),
        )
    )
    row = members.where("plays <= 120").orderBy(F.desc("begun"), F.desc("plays"), "member_id").limit(1).collect()
    if not row:
        row = members.orderBy("plays", "member_id").limit(1).collect()
    country = row[0]["country"]
    return row[0]["member_id"], None if country == UNKNOWN_COUNTRY else country


if __name__ == "__main__":
    main(prog_name="python -m infra.demo")
