"""`python -m online`: a member's page or ranked list, for people and for scripts."""

from pathlib import Path

import click
import msgspec

from online.experiments_command import experiments
from online.explain_command import explain, silent
from online.recommender import Recommender
from shared import cli, config
from shared.errors import InputError, UnavailableError
from shared.pages.answers import Page, Recommendation
from shared.whole_files import writable, write_whole


@click.group(cls=cli.Group)
@cli.log_options
def main() -> None:
    """Ask the request library what a member would see now."""


main.add_command(experiments)
main.add_command(explain)


@main.command()
@click.argument("member")
@cli.config_option
@click.option("--country", metavar="CODE", help="Country of the request, such as US; leaves out what is not shown there.")
@click.option("--device", default="tv", show_default=True, help="What the page is for.")
@click.option("--html", "html_path", metavar="FILE", type=click.Path(path_type=Path), help="Also draw the page into this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the page as one JSON object.")
@click.option(
    "--before",
    "before_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Mark what changed since a page kept by --json.",
)
@click.option("--cells", default=6, show_default=True, type=click.IntRange(1), help="How many titles of each row to print.")
def page(
    member: str,
    config_path: str | None,
    country: str | None,
    device: str,
    html_path: Path | None,
    as_json: bool,
    before_path: Path | None,
    cells: int,
) -> None:
    """Print the home page of MEMBER. Nothing is logged as shown."""
    before = None if before_path is None else _read_page(before_path)
    with Recommender(silent(config_path)) as recommender:
        answer = recommender.page(member, device=device, country=country)
    if html_path is not None:
        from online.drawing import draw_page

        with writable(html_path):
            html_path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(html_path, draw_page(answer, before=before).encode())
    if as_json:
        click.echo(msgspec.json.encode(answer))
    else:
        from online.drawing import print_page

        print_page(answer, before, cells=cells)
        if html_path is not None:
            click.echo(f"\nDrawn to {html_path}")


@main.command()
@click.argument("member")
@cli.config_option
@click.option("-k", default=20, show_default=True, help="How many titles, 1 to 1000.")
@click.option("--country", metavar="CODE", help="Country of the request, such as US; leaves out what is not shown there.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def recommend(member: str, config_path: str | None, k: int, country: str | None, as_json: bool) -> None:
    """Print the best titles for MEMBER to begin, best first."""
    with Recommender(silent(config_path)) as recommender:
        answer = recommender.recommend(member, k, country=country)
    if as_json:
        click.echo(msgspec.json.encode(answer))
        return
    for recommendation in answer:
        click.echo(_line(recommendation))
    if not answer:
        click.echo("Nothing can be recommended; `python -m online page` says why.")


@main.command()
@cli.config_option
@click.option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 is every address. Default: [serve] host.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), help="0 takes any free one. Default: [serve] port.")
@click.option("--workers", metavar="N", type=click.IntRange(1, 256), help="Processes. Default: [serve] workers.")
def serve(config_path: str | None, **options: str | int | None) -> None:
    """Serve pages and lists over HTTP, and pages for people in a browser, until SIGTERM or Ctrl-C."""
    loaded = config.load(config_path)
    try:
        from online.service.server import serve as run
    except ModuleNotFoundError as error:
        raise UnavailableError(f"serving over HTTP needs {error.name}: install the extra `marquee[serve]`") from None
    given = {name: value for name, value in options.items() if value is not None}
    run(msgspec.structs.replace(loaded, serve=msgspec.structs.replace(loaded.serve, **given)), config_path)


def _line(item: Recommendation) -> str:
    name = "".join(letter if letter.isprintable() else " " for letter in item.name)
    return f"{item.rank + 1:>4}  {item.score:6.3f}  {item.title_id:<12}  {name:<44}  {item.evidence}"


def _read_page(path: Path) -> Page:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Page)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: not a page as `page --json` prints it: {error}") from None


if __name__ == "__main__":
    main(prog_name="python -m online")
