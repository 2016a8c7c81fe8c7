"""`python -m online explain`: why a member's page is as it is."""

import click
import msgspec

from online.recommender import Recommender
from shared import cli, config
from shared.config import Config
from shared.errors import InputError


@click.command()
@click.argument("member")
@cli.config_option
@click.option("--country", metavar="CODE", help="Country of the request, such as US.")
@click.option("--device", default="tv", show_default=True, help="What the page is for.")
@click.option("--row", metavar="KEY", help="Only this row, by the key in brackets after its name.")
@click.option("--cells", default=3, show_default=True, type=click.IntRange(1), help="How many cells of each row to explain.")
@click.option("--json", "as_json", is_flag=True, help="Print all explanations as one JSON list.")
def explain(
    member: str, config_path: str | None, country: str | None, device: str, row: str | None, cells: int, as_json: bool
) -> None:
    """Print why every cell of MEMBER's page is there. Nothing is logged as shown."""
    with Recommender(silent(config_path)) as recommender:
        page = recommender.page(member, device=device, country=country)
    keys = [placed.key for placed in page.rows]
    if row is not None and row not in keys:
        raise InputError(f"the page of {member!r} has no row {row!r}; its rows are {', '.join(keys) or 'none'}")
    if as_json:
        explained = page.explain()
        click.echo(msgspec.json.encode([each for each in explained if row in (None, each.row)]))
        return
    from online.drawing.explained import text_explanation

    click.echo(text_explanation(page, row=row, cells=cells))


def silent(config_path: str | None) -> Config:
    """The configuration without impressions: looking at a page from a terminal is not showing it to the member."""
    loaded = config.load(config_path)
    return msgspec.structs.replace(loaded, online=msgspec.structs.replace(loaded.online, log_impressions=False))
