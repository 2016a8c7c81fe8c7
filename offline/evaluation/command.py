"""`python -m offline evaluate` and `compare`: models on interaction files, or on the lake where no files are named."""

from pathlib import Path
from typing import Any

import click

from offline.evaluation.asking import (
    FromLake,
    answer,
    input_options,
    parse_assignments,
    parse_models,
    read_request,
    read_source,
)
from shared.whole_files import writable, write_whole

FILES = """
\b
Files are CSV, CSV.gz or Parquet with the columns member_id, title_id and, where known, weight, at_ms, country.
  --train T [--context C] --test T2   split already
  --data D --split METHOD             split here, and checked for leaks:
      time            the newest share of all rows is held out
      leave-one-out   each member's last title
      member          a share of the members: not trained on; most of their titles are known, the rest is to be found
      random          a share of each member's titles
Without files, the lake's plays are split by time, and of what is held out each member's earlier half is known.

\b
Metrics, each with a cut, over all titles: recall precision hr ndcg mrr map (the right titles on top) · novelty (bits) ·
popularity (mean percentile) · popularity-lift (over the member's history) · diversity (by who plays them) ·
genre-diversity · calibration (divergence of genres from the history's; less is better) · coverage gini (of the catalogue).
Intervals hold 95 %, from resampled members.
"""


def evaluate_command(from_lake: FromLake | None = None) -> click.Command:
    """Make `evaluate`.

    Parameters
    ----------
    from_lake : evaluates on the lake's newest plays; called where no files are named.
    """

    @click.command(
        "evaluate", help="Rank all titles for the members of a test and tell how well one model finds theirs.\n" + FILES
    )
    @click.option("--model", default="ials", show_default=True, help="Name of the model.")
    @click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the model; may be repeated.")
    @input_options
    def evaluate(model: str, assignments: tuple[str, ...], **options: Any) -> None:
        models = {model: (model, parse_assignments(assignments))}
        report = answer(read_request(options, models, baseline=None), read_source(options), from_lake)
        click.echo(report.to_text(), nl=False)
        if options["json"] is not None:
            _write(options["json"], report.to_json())

    return evaluate


def compare_command(from_lake: FromLake | None = None) -> click.Command:
    """Make `compare`; see `evaluate_command`."""

    @click.command(
        "compare",
        help="Rank all titles with several models on the same test, and tell each one's paired difference from the first.\n"
        + FILES,
    )
    @click.option(
        "--model",
        "specifications",
        multiple=True,
        required=True,
        metavar="NAME[:KEY=VALUE,…]",
        help="A model and its settings; repeat it. The first is the one that the others are compared with.",
    )
    @click.option(
        "--figure",
        type=click.Path(path_type=Path),
        default=None,
        help="Also draw every figure with its interval to this file (.png, .svg or .pdf).",
    )
    @input_options
    def compare(specifications: tuple[str, ...], figure: Path | None, **options: Any) -> None:
        models = parse_models(specifications)
        if figure is not None:
            from offline.evaluation.figure import check_kind

            check_kind(figure)  # before hours of fitting
        report = answer(read_request(options, models, baseline=next(iter(models))), read_source(options), from_lake)
        click.echo(report.to_text(), nl=False)
        if options["json"] is not None:
            _write(options["json"], report.to_json())
        if figure is not None:
            from offline.evaluation.figure import draw

            _write(figure, draw(report, figure.suffix))

    return compare


def _write(path: Path, content: bytes) -> None:
    with writable(path):
        write_whole(path, content)
