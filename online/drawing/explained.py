"""Why a page is as it is, for the terminal: facts about the whole page, then a block a cell."""

from collections.abc import Iterable, Iterator

from online.drawing.as_text import plain
from online.drawing.wording import age, milliseconds
from shared.pages.answers import Page
from shared.pages.explaining import Explanation


def text_explanation(page: Page, *, row: str | None = None, cells: int = 3) -> str:
    """Why each cell of a page is there.

    Parameters
    ----------
    row : key of the only row to tell of; None for all.
    cells : how many cells of each row.

    Raises
    ------
    InputError : the page cannot be explained; see `Page.explain`.
    """
    return "\n".join([*_about(page), *_cells(page, row, cells)])


def _about(page: Page) -> Iterator[str]:
    yield f"Page {page.page_id} for {plain(page.member_id)}"
    yield f"  asked      {page.device}{f' in {page.country}' if page.country else ''}"
    yield f"  snapshot   {page.snapshot or 'none'} · tier {page.tier}"
    seen = ", ".join(f"{topic} {at}" for topic, at in page.fence.items()) or "nothing"
    yield f"  live state newest event {age(page.state_age_ms)} before the request · has seen {seen}"
    in_tests = ", ".join(f"{test}: {cell}" for test, cell in page.allocation.items()) or "in no test"
    yield f"  tests      {plain(in_tests)}"
    yield "  time       " + " · ".join(f"{stage} {milliseconds(took_s)}" for stage, took_s in page.seconds.items())
    for fallback in page.fallbacks:
        yield f"  ! {fallback.code}: {plain(fallback.detail)}"


def _cells(page: Page, row: str | None, cells: int) -> Iterator[str]:
    explained = iter(page.explain())
    for shown in page.rows:
        of_row = [next(explained) for _ in shown.cells]
        if row not in (None, shown.key):
            continue
        yield ""
        yield f"{plain(shown.name)}   [{plain(shown.key)}]"
        for each in of_row[:cells]:
            yield from _cell(each)
        if len(of_row) > cells:
            yield f"    … and {len(of_row) - cells} more (--cells)"


def _cell(each: Explanation) -> Iterator[str]:
    yield f"  {each.rank + 1:>3}. {plain(each.name)}   {plain(each.evidence)}"
    blended = "" if each.blended is None else f" · blend {each.blended:.3f}"
    yield f"       {each.tier} · score {each.score:.3f}{blended} · shown with chance {each.propensity:g}"
    if each.sources:
        yield f"       sources   {_joined((share.source, share.score) for share in each.sources)}"
    else:
        yield "       sources   none: it fills the row by popularity"
    if each.features:
        yield f"       weighed   {_joined(((share.feature, share.weight) for share in each.features), signed=True)}"


def _joined(parts: Iterable[tuple[str, float]], *, signed: bool = False) -> str:
    return " · ".join(f"{name} {value:+.2f}" if signed else f"{name} {value:.2f}" for name, value in parts)
