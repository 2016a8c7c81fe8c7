"""A page for the terminal, with what changed since an earlier one marked. Plain text, or rich where it is installed."""

from collections.abc import Iterator

import click

from online.drawing.differences import Differences, page_differences
from online.drawing.wording import age
from shared.pages.answers import Cell, Page

CELLS = 6
NAME_WIDTH = 30
MARKS = {"new": "+", "moved": "~", "gone": "-"}
COLOURS = {"new": "green", "moved": "cyan", "gone": "red"}


def text_page(page: Page, before: Page | None = None, *, cells: int = CELLS, colours: bool = False) -> str:
    """A page as text, one title a line.

    Parameters
    ----------
    before : an earlier page; titles new since then are marked `+`, moved ones `~`, and those gone are listed with `-`.
    cells : how many titles of each row are printed.
    colours : whether to colour it for a terminal.
    """
    changes = None if before is None else page_differences(before, page)
    return "\n".join(_lines(page, changes, cells, colours))


def print_page(page: Page, before: Page | None = None, *, cells: int = CELLS) -> None:
    """Print `text_page`, coloured when standard output is a terminal."""
    click.echo(text_page(page, before, cells=cells, colours=True))


def _lines(page: Page, changes: Differences | None, cells: int, colours: bool) -> Iterator[str]:
    def paint(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
        return click.style(text, fg=colour, bold=bold or None, dim=dim or None) if colours else text

    place = f" in {page.country}" if page.country else ""
    facts = (
        f"{page.device}{place} · tier {page.tier} · snapshot {page.snapshot or 'none'} · newest event {age(page.state_age_ms)}"
    )
    yield paint(f"Page for {plain(page.member_id)}", bold=True) + paint(f"   {facts}", dim=True)
    if changes is not None:
        yield paint("  " + (", ".join(changes.summary()) or "nothing changed"), "yellow")
    for row in page.rows:
        appeared = changes is not None and row.key in changes.rows_appeared
        yield ""
        yield paint(f"{MARKS['new'] if appeared else ' '} {plain(row.name)}", COLOURS["new"] if appeared else None, bold=True)
        for cell in row.cells[:cells]:
            mark = changes.mark(cell.title_id) if changes is not None else None
            line = f"  {MARKS[mark] if mark else ' '} {_cut(cell.name)}"
            yield paint(line, COLOURS[mark] if mark else None) + "  " + paint(_reason(cell), dim=True)
        if len(row.cells) > cells:
            yield paint(f"      … and {len(row.cells) - cells} more", dim=True)
    if changes is not None and changes.gone:
        yield ""
        yield paint("  No longer on this page", bold=True)
        for cell in changes.gone[:cells]:
            yield paint(f"  {MARKS['gone']} {_cut(cell.name)}", COLOURS["gone"])
        if len(changes.gone) > cells:
            yield paint(f"      … and {len(changes.gone) - cells} more", dim=True)
    for fallback in page.fallbacks:
        yield paint(f"! {fallback.code}: {plain(fallback.detail)}", "yellow")


def _reason(cell: Cell) -> str:
    return f"{cell.score:5.2f}  {cell.tier:<15}  {plain(cell.evidence)}"


def _cut(name: str) -> str:
    name = plain(name)
    return (name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…").ljust(NAME_WIDTH)


def plain(text: str) -> str:
    """The text without control characters: a title's name must not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
