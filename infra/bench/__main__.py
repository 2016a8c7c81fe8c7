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
    the member's state in Redis has the play, and until the page from `online.Recommender` shows it.
    """
    from infra.bench import freshness as bench

    report = bench.measure(rate, seconds, samples)
    click.echo(bench.table(report))
    if json_path is not None:
        bench.write(report, json_path)


if __name__ == "__main__":
    main(prog_name="python -m infra.bench")
