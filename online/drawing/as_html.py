"""A page as one HTML file that needs nothing else: no scripts, fonts, pictures or requests. Needs jinja2 (the `local` extra)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from online.drawing.differences import Differences, page_differences
from online.drawing.posters import Poster, poster
from online.drawing.scenes import SIDE
from online.drawing.wording import age, cell_note, duration, milliseconds
from shared.errors import UnavailableError
from shared.pages.answers import Cell, Page, Row

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")


@dataclass
class Art:
    """The posters of one document; each scene is written once and used wherever its title appears."""

    posters: dict[str, tuple[str, Poster]] = field(default_factory=dict)

    def of(self, cell: Cell) -> tuple[str, Poster]:
        """The element id of a title's scene, and its poster."""
        if cell.title_id not in self.posters:
            self.posters[cell.title_id] = (f"art{len(self.posters)}", poster(cell.name, cell.genres))
        return self.posters[cell.title_id]


@dataclass(frozen=True)
class Sheet:
    """One page of a document: what is drawn, and how each title is marked."""

    page: Page
    label: str
    differences: Differences | None
    is_after: bool
    row_names: dict[str, str]

    @property
    def hero(self) -> Cell | None:
        """The title on top: the first of the first row that recommends something."""
        return next((row.cells[0] for row in self.page.rows if row.cells[0].progress is None), None)

    @property
    def marks(self) -> dict[str, tuple[str, str]]:
        """Title id to the kind of its badge and its text."""
        changes = self.differences
        if changes is None:
            return {}
        if not self.is_after:
            return {cell.title_id: ("gone", "gone") for cell in changes.gone}
        marks = {cell.title_id: ("new", "new") for cell in changes.new}
        for old, new in changes.moved:
            if old.row != new.row:
                marks[new.title_id] = ("moved", f"from {self.row_names.get(old.row, old.row)}")
            elif new.rank != old.rank:
                marks[new.title_id] = ("moved", f"{'◂' if new.rank < old.rank else '▸'} {abs(new.rank - old.rank)}")
        return marks

    @property
    def row_marks(self) -> dict[str, tuple[str, str]]:
        """Row key to the kind of its badge and its text."""
        changes = self.differences
        if changes is None:
            return {}
        if not self.is_after:
            return dict.fromkeys(changes.rows_gone, ("gone", "row gone"))
        marks = dict.fromkeys(changes.rows_appeared, ("new", "new row"))
        return marks | dict.fromkeys(changes.rows_moved, ("moved", "row moved"))


def draw_page(page: Page, *, before: Page | None = None, headline: str | None = None) -> str:
    """A page as an HTML document.

    Parameters
    ----------
    before : an earlier page; what is new or moved since then is marked, and what is gone is listed.
    headline : one sentence for a strip on top, such as what the member just did.

    Raises
    ------
    UnavailableError : jinja2 is not installed.
    """
    changes = None if before is None else page_differences(before, page)
    sheet = Sheet(page, "Now", changes, True, row_names(page, before))
    return _render([sheet], headline, changes)


def draw_change(before: Page, after: Page, headline: str) -> str:
    """Two pages in one HTML document, with tabs to go between them; the later one is shown first. See `draw_page`."""
    changes = page_differences(before, after)
    names = row_names(before, after)
    sheets = [Sheet(before, "Before", changes, False, names), Sheet(after, "After", changes, True, names)]
    return _render(sheets, headline, changes)


def row_names(*pages: Page | None) -> dict[str, str]:
    """Row key to name, of some pages."""
    return {row.key: row.name for page in pages if page is not None for row in page.rows}


def _render(sheets: list[Sheet], headline: str | None, changes: Differences | None) -> str:
    art = Art()
    body = (
        environment()
        .get_template("document.html")
        .render(
            sheets=sheets,
            headline=headline,
            changes=changes,
            art=art,
            stylesheet=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        )
    )
    return "\n".join(_without_blank_lines(body.splitlines())) + "\n"


def shared_evidence(row: Row) -> str | None:
    """The evidence that all cells of a row have in common, said once beside its name; None where they differ."""
    found = {cell.evidence for cell in row.cells}
    return found.pop() if len(found) == 1 and len(row.cells) > 1 else None


def _without_blank_lines(lines: Iterable[str]) -> Iterable[str]:
    return (line.strip() for line in lines if line.strip())


@cache
def environment(*folders: Path) -> "Environment":
    """The templates of this package with what they call, and those of other folders, which may use their macros.

    Raises
    ------
    UnavailableError : jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise UnavailableError("drawing a page as HTML needs jinja2: install the extra `marquee[local]`") from None
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "side": SIDE,
        "shared_evidence": shared_evidence,
        "note": cell_note,
        "duration": duration,
        "age": age,
        "milliseconds": milliseconds,
    }
    return made
