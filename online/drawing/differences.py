"""What changed between two pages of a member. Pure.

A new title at the left of a row pushes all others along; they count as steady. Of the titles that both versions of a row have,
the fewest that explain the new order count as moved (those outside of a longest increasing run of their old places).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared.pages.answers import Cell, Page


@dataclass(frozen=True, slots=True)
class Differences:
    """From an earlier page to a later one.

    Attributes
    ----------
    rows_appeared, rows_gone : keys of rows that only the later or only the earlier page has.
    rows_moved : keys of rows in another order, among those that both have.
    new : cells of the later page whose title was nowhere on the earlier one.
    moved : pairs of the earlier and the later cell of titles that changed row, or order within it.
    gone : cells of the earlier page whose title is nowhere on the later one.
    """

    rows_appeared: tuple[str, ...]
    rows_gone: tuple[str, ...]
    rows_moved: tuple[str, ...]
    new: tuple[Cell, ...]
    moved: tuple[tuple[Cell, Cell], ...]
    gone: tuple[Cell, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both pages show the same in the same order."""
        return not (self.rows_appeared or self.rows_gone or self.rows_moved or self.new or self.moved or self.gone)

    def mark(self, title_id: str) -> Literal["new", "moved", "gone"] | None:
        """What happened to a title; None when it stayed."""
        if any(cell.title_id == title_id for cell in self.new):
            return "new"
        if any(cell.title_id == title_id for cell in self.gone):
            return "gone"
        return "moved" if any(cell.title_id == title_id for cell, _ in self.moved) else None

    def summary(self) -> list[str]:
        """The counts in words, those of zero left out: `["1 row appeared", "12 titles new"]`."""
        counts = [
            (len(self.rows_appeared), "row", "appeared"),
            (len(self.rows_moved), "row", "moved"),
            (len(self.rows_gone), "row", "gone"),
            (len(self.new), "title", "new"),
            (len(self.moved), "title", "moved"),
            (len(self.gone), "title", "gone"),
        ]
        return [f"{count} {what}{'' if count == 1 else 's'} {how}" for count, what, how in counts if count]


def page_differences(before: Page, after: Page) -> Differences:
    """Compare two pages by their rows' keys and their cells' titles."""
    rows_before = [row.key for row in before.rows]
    rows_after = [row.key for row in after.rows]
    cells_before = _cells_by_title(before)
    cells_after = _cells_by_title(after)
    steady = _steady_titles(before, after)
    return Differences(
        rows_appeared=tuple(key for key in rows_after if key not in rows_before),
        rows_gone=tuple(key for key in rows_before if key not in rows_after),
        rows_moved=tuple(key for key in rows_after if key in rows_before and key not in _steady(rows_before, rows_after)),
        new=tuple(cell for title_id, cell in cells_after.items() if title_id not in cells_before),
        moved=tuple(
            (cells_before[title_id], cell)
            for title_id, cell in cells_after.items()
            if title_id in cells_before and title_id not in steady
        ),
        gone=tuple(cell for title_id, cell in cells_before.items() if title_id not in cells_after),
    )


def _cells_by_title(page: Page) -> dict[str, Cell]:
    """Each title's first cell; only a row that owns its titles may show one again."""
    cells: dict[str, Cell] = {}
    for row in page.rows:
        for cell in row.cells:
            cells.setdefault(cell.title_id, cell)
    return cells


def _steady_titles(before: Page, after: Page) -> set[str]:
    rows_before = {row.key: [cell.title_id for cell in row.cells] for row in before.rows}
    steady: set[str] = set()
    for row in after.rows:
        steady |= _steady(rows_before.get(row.key, []), [cell.title_id for cell in row.cells])
    return steady


def _steady(before: Sequence[str], after: Sequence[str]) -> set[str]:
    """The most items of both sequences that keep their order: a longest increasing run of old places."""
    places = {item: place for place, item in enumerate(before)}
    common = [item for item in after if item in places]
    tails: list[int] = []  # the least last place of a run of each length
    ends: list[int] = []  # index in `common` of that last item
    previous: list[int] = []
    for index, item in enumerate(common):
        length = bisect_left(tails, places[item])
        previous.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [places[item]]
        ends[length : length + 1] = [index]
    steady: set[str] = set()
    index = ends[-1] if ends else -1
    while index >= 0:
        steady.add(common[index])
        index = previous[index]
    return steady
