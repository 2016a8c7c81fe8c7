"""`python -m infra.bench`: the figures of the README, each measured by one command on this machine."""

from pathlib import Path

import click

from shared import cli


@click.group(cls=cli.Group, context_settings={"help_option_names": ["-h", "--help"]})
@cli.log_options
def main() -> None:
    """Measure Marquee on this machine. Each command starts what it needs, prints its figures, and leaves nothing behind."""


@main.command()
@click.option("--rate", type=click.FloatRange(1, 20_000), default=200.0, show_default=True, help="Plays sent a second.")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=30.0, show_default=True, help="How long to measure.")
@click.option("--samples", type=click.FloatRange(1, 100), default=10.0, show_default=True, help="Plays followed a second.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), default=None, help="Also write the figures to this file.")
def freshness(rate: float, seconds: float, samples: float, json_path: Path | None) -> None:
    """The time from a live play, acknowledged by Kafka, to its effect.

    Starts a Kafka, a Redis and a nearline worker of its own, sends plays with kafka-python, and follows some of them: until
    `online` reads the play in the member's state, and until the page from `online.Recommender` shows it.
    """
    from infra.bench import freshness as bench

    report = bench.measure(rate, seconds, samples)
    click.echo(bench.table(report))
    if json_path is not None:
        bench.write(report, json_path)


@main.command()
@click.option("--pages", type=click.IntRange(1000), default=30_000, show_default=True, help="Logged pages, held-out ones too.")
@click.option("--seed", default=7, show_default=True, help="Of the world.")
def ranker(pages: int, seed: int) -> None:
    """The ranker beside the blend's own score and popularity, on the simulated service, whose truth is known."""
    from infra.bench import ranker as bench
    from infra.demo.world import World

    click.echo(bench.table(bench.measure(World.generate(seed=seed), pages)))


@main.command()
@click.option("--only", metavar="A,B,…", default=None, help="Sections to run; see above. Default: all but catchup.")
@click.option("--all", "with_all", is_flag=True, help="All sections.")
@click.option("--events", type=click.IntRange(50_000), default=400_000, show_default=True, help="Plays of a workload.")
@click.option("--members", type=click.IntRange(100), default=20_000, show_default=True, help="Members in the realistic workload.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Times that each is measured.")
@click.option("--history", type=click.IntRange(0, 1000), default=0, show_default=True, help="Titles in each state beforehand.")
@click.option("--backlog", type=click.IntRange(100_000), default=5_000_000, show_default=True, help="Plays to catch up with.")
@click.option("--workers", type=click.IntRange(2, 64), default=2, show_default=True, help="Workers to compare with one.")
@click.option("--profile", is_flag=True, help="Measure nothing; show where a worker's time goes (py-spy).")
@click.option("--json", "json_path", type=click.Path(path_type=Path), default=None, help="Also write the figures to this file.")
def nearline(
    only: str | None,
    with_all: bool,
    events: int,
    members: int,
    rounds: int,
    history: int,
    backlog: int,
    workers: int,
    profile: bool,
    json_path: Path | None,
) -> None:
    """The nearline worker beside its rivals, over the same events in the same run, and what it promises.

    Starts a Kafka and a Redis of its own. Sections, in this order:

    \b
    worker     plays topic to fenced states in Redis, realistic viewings
    bare       rival: a bare loop of batches and the fenced script, nothing decoded or folded
    decoding   the same loop, values decoded and validated too
    spread     the worker again, no member twice in a batch
    agent      rival: a plain Faust agent that does the same work
    bytewax    rival: Bytewax with decoding and a keyed fold alone
    size       bytes of a state, full and on the mean
    freshness  acknowledged by Kafka to read by online, at 1,000 plays a second
    restart    killed with -9 and started again, with and without --instance
    workers    several workers against one, each bound to a core
    spark      the replay of the same log: equal bytes, and its rate
    catchup    a long backlog: steady rate, bounded memory (only when named, or with --all)

    Rates are events a CPU-second of the worker's or rival's own process, its start left out. What else runs on the machine
    still shows in them: the first six sections are run in turns, and ratios are made round by round.
    """
    from infra.bench import report
    from infra.bench.nearline import running

    plan = running.Plan(
        sections=_sections(only, with_all),
        events=events,
        members=members,
        rounds=rounds,
        history=history,
        backlog=backlog,
        workers=workers,
    )

    def say(line: str) -> None:
        click.echo(line, err=True)

    if profile:
        click.echo(running.profile(plan, say))
        return
    rows, about = running.run(plan, say)
    click.echo(f"{about['cores']} cores, load {about['load_before']} before and {about['load_after']} after; {about['took_s']} s")
    click.echo(report.table(rows))
    if json_path is not None:
        report.write(rows, about, json_path)


@main.command()
@click.option("--only", metavar="A,B,…", default=None, help="Sections to run; see above. Default: all.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Times that each timing is taken.")
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("../shared/data"), show_default=True, help="The public data sets."
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), default=None, help="Also write the figures to this file.")
def models(only: str | None, rounds: int, data: Path, json_path: Path | None) -> None:
    """The models beside published figures and rivals. Sections, in this order:

    \b
    quality    Gowalla, Amazon Beauty and ml-100k by their published protocols, where the data sets are on this machine
    als        iALS against `implicit` and Spark MLlib: CPU-seconds to the same loss and recall
    topk       the best 100 of 50,000 titles for every member: share of the bare product's rate; FAISS, `implicit`, Spark
    loss       memory of the sequence model's loss at 1,000,000 titles

    All sections together take about an hour on two cores. Rivals run in the same run, in turns with ours.
    """
    from infra.bench import report
    from infra.bench.models import running

    named = running.SECTIONS if only is None else tuple(name.strip() for name in only.split(",") if name.strip())
    rows, about = running.run(running.Plan(named, data, rounds), lambda line: click.echo(line, err=True))
    click.echo(f"{about['cores']} cores, load {about['load_before']} before and {about['load_after']} after; {about['took_s']} s")
    click.echo(report.table(rows))
    if json_path is not None:
        report.write(rows, about, json_path)


@main.command()
@click.option("--only", metavar="A,B,…", default=None, help="Sections to run; see above. Default: all.")
@click.option("--members", type=click.IntRange(1000), default=50_000, show_default=True, help="Members in Redis.")
@click.option("--calls", type=click.IntRange(200), default=5000, show_default=True, help="Calls of each timing.")
@click.option("--quick", is_flag=True, help="5,000 members and 500 calls: shows that all works, too few for p99.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), default=None, help="Also write the figures to this file.")
def online(only: str | None, members: int, calls: int, quick: bool, json_path: Path | None) -> None:
    """The request library beside bare reads of the same bytes and beside rivals. Sections, in this order:

    \b
    page       the whole page, 20 rows of 40 cells, over a socket and over TCP; with its JSON; stage by stage
    policies   the same under each page policy
    account    the same with impressions sent to Kafka, and without
    recommend  lists one by one and for many members in one call
    records    the records of 100 members or titles in one read; rival: Feast, installed into an environment of its own
    import     a fresh process that imports `online`
    overload   ten times the rate that a core sustains
    upheaval   under publish, rollback, a restart of Redis and a state writer at full rate
    memory     of a process, of a member in Redis, of a million members
    pages      after tastes shift in a session: blended pages, precomputed ones, live ones; what of them was played next
    published  figures that others have published

    Starts a Redis of its own on one core and measures from another. Latencies are told in multiples of the same run's bare
    round trip too. What else runs on the machine shows in them, and least in CPU times.
    """
    from infra.bench import report
    from infra.bench.online import running

    named = running.SECTIONS if only is None else tuple(name.strip() for name in only.split(",") if name.strip())
    plan = running.Plan(named, running.QUICK_MEMBERS, running.QUICK_CALLS) if quick else running.Plan(named, members, calls)
    rows, about = running.run(plan, lambda line: click.echo(line, err=True))
    click.echo(f"{about['cores']} cores, load {about['load_before']} before and {about['load_after']} after; {about['took_s']} s")
    click.echo(report.table(rows))
    if json_path is not None:
        report.write(rows, about, json_path)


def _sections(only: str | None, with_all: bool) -> tuple[str, ...]:
    from infra.bench.nearline import running

    if only is not None:
        return tuple(name.strip() for name in only.split(",") if name.strip())
    return running.SECTIONS if with_all else running.Plan().sections


@main.command()
@click.option("--members", type=click.IntRange(1), default=5_000, show_default=True, help="Members of the built-in world.")
@click.option("--titles", type=click.IntRange(100), default=1_200, show_default=True, help="Its titles.")
@click.option("--plays", type=click.IntRange(1), default=200_000, show_default=True, help="Its plays.")
@click.option("--seed", default=7, show_default=True, help="Its seed.")
def continuing(members: int, titles: int, plays: int, seed: int) -> None:
    """Fit when members go on with what they began, and how well that orders Continue Watching.

    Fits on the earlier pages of the built-in world and measures on the later ones, beside the coefficients that the library has
    and beside the order by last watched. Takes a minute or two.
    """
    from infra.bench import continuing as bench

    click.echo(bench.table(bench.measure(members, titles, plays, seed)))


@main.command()
@click.option("--members", type=click.IntRange(1), default=2_000, show_default=True, help="Members of the built-in world.")
@click.option("--titles", type=click.IntRange(100), default=1_000, show_default=True, help="Its titles.")
@click.option("--plays", type=click.IntRange(1), default=80_000, show_default=True, help="Its plays.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Its seed.")
@click.option("--replayed", type=click.IntRange(1), default=500, show_default=True, help="Members whose visits are replayed.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), default=None, help="Also write the report to this file.")
def pages(members: int, titles: int, plays: int, seed: int, replayed: int, json_path: Path | None) -> None:
    """The page policies side by side on the built-in world: `python -m offline evaluate-pages` on its files.

    The browse model is fitted to the simulated pages before the cut. Takes about a minute.
    """
    from infra.bench import pages as bench
    from offline.evaluation.pages.replay import Plan
    from shared.whole_files import writable, write_whole

    size = bench.Size(members, titles, plays, seed)
    report = bench.measure(size, Plan(members=replayed), lambda line: click.echo(line, err=True))
    click.echo(report.to_text(), nl=False)
    if json_path is not None:
        with writable(json_path):
            write_whole(json_path, report.to_json())


if __name__ == "__main__":
    main(prog_name="python -m infra.bench")
