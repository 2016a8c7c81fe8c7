"""`python -m offline evaluate-pages`: page policies side by side on a history replayed in the order of time. Light to import."""

from pathlib import Path

import click

from shared.errors import InputError
from shared.whole_files import writable, write_whole

HELP = """Build pages for visits that were held out and tell how well each page policy shows what was played next.

\b
--data is a folder that `import` reads: a MovieLens data set as published, or titles.* with plays.* or interactions.*.
The newest plays are held out. A snapshot is fitted in memory on what came before; then, visit by visit, each policy
makes its page from the member's state as it was then, and is judged by what the member played next:
  recall          expected share of those titles that the member looks at
  ndcg, err       their places in the order in which cells are looked at: discounted gain, reciprocal rank
  screen          share of them on the first screen;  anywhere: on the page at all
  row_diversity, page_diversity   of genres, in a row and on the page
  novelty         of what is looked at, in bits;  churn: how much of it was not there at the last visit
  title_coverage, row_coverage    of the catalogue and of the drafted rows, over all pages
How likely a cell is looked at says a browse model: fitted to --impressions where they are given, else the default one.
Intervals hold 95 %, from resampled members; differences are paired.
"""


def evaluate_pages_command() -> click.Command:
    """Make `evaluate-pages`."""

    @click.command("evaluate-pages", help=HELP)
    @click.option("--data", metavar="FOLDER", required=True, help="Titles and history.")
    @click.option(
        "--impressions",
        type=click.Path(path_type=Path),
        default=None,
        help="Logged pages: a value of topic impressions on each line (.jsonl, .jsonl.gz). Those before the cut are used.",
    )
    @click.option("--test-share", type=float, default=0.2, show_default=True, help="Share of the plays held out, the newest.")
    @click.option("--members", type=click.IntRange(1), default=500, show_default=True, help="Most members replayed, at random.")
    @click.option("--visits", type=click.IntRange(1), default=10, show_default=True, help="Most visits of a member, the first.")
    @click.option(
        "--plays-a-visit", type=click.IntRange(1), default=5, show_default=True, help="Plays after which a page is made anew."
    )
    @click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the members and the resamples.")
    @click.option("--json", type=click.Path(path_type=Path), default=None, help="Also write the report to this file.")
    @click.option("--config", "config_path", metavar="FILE", default=None, help="Configuration of models and pages to evaluate.")
    def evaluate_pages(
        data: str,
        impressions: Path | None,
        test_share: float,
        members: int,
        visits: int,
        plays_a_visit: int,
        seed: int,
        json: Path | None,
        config_path: str | None,
    ) -> None:
        if not 0 < test_share < 1:
            raise InputError(f"--test-share is {test_share}; expected between 0 and 1")
        from offline.evaluation.pages import replay
        from offline.evaluation.pages.past import History
        from offline.evaluation.pages.visits import Splitting
        from shared import config as configuration

        config = configuration.Config() if config_path is None else configuration.load(config_path)
        plan = replay.Plan(test_share, members, Splitting(plays_a_visit, visits), seed)
        history = History.read(data)
        browse = replay.browse_model(impressions, history, config, plan)
        report = replay.evaluate_pages(history, config, plan, browse, say=lambda line: click.echo(line, err=True))
        click.echo(report.to_text(), nl=False)
        if json is not None:
            with writable(json):
                write_whole(json, report.to_json())

    return evaluate_pages
