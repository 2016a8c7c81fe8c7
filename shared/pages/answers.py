"""What a caller of `Recommender` gets back: typed, immutable, and encodable as JSON with msgspec."""

from typing import TYPE_CHECKING, Literal

import msgspec

from shared.errors import InputError

if TYPE_CHECKING:
    from shared.pages.explaining import Explanation, Reasons

Tier = Literal["live", "fresh", "precomputed", "popular_country", "popular", "empty"]
"""Where a title's place came from: the live state, the candidates retrieved since the member's latest plays, the precomputed
ones, what the country watches, or what everybody watches. A page with nothing to show is `empty`."""


class Fallback(msgspec.Struct, frozen=True, gc=False):
    """One thing that a request had to do without. `code` is one of a few fixed words, `detail` a sentence."""

    code: str
    detail: str


class Cell(msgspec.Struct, frozen=True, gc=False):
    """One title at one place of a page, ready to draw and accounted for.

    `row_index` and `rank` count from 0, down and to the right. `progress` is how far in a title to continue is, from 0 to 1.
    `propensity` is the chance with which the title was shown here: 1 while pages are deterministic.
    """

    title_id: str
    name: str
    row: str
    row_index: int
    rank: int
    tier: Tier
    score: float
    evidence: str
    propensity: float = 1.0
    genres: tuple[str, ...] = ()
    runtime_s: float = 0.0
    progress: float | None = None


class Row(msgspec.Struct, frozen=True):
    """One row of a page. `key` names it in logs and stays the same between visits (`because:t7`)."""

    key: str
    name: str
    cells: tuple[Cell, ...]


class MoreOfRow(msgspec.Struct, frozen=True):
    """The cells further to the right of a row; none when it ends. `cursor` stands for the page with them."""

    row: Row
    cursor: str


class Page(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A member's home page at one moment.

    `snapshot` is the version that all of it was built from; None when there was none. `fence` says which records of each
    topic the live state had seen (`topic: epoch:partition:offset`), `state_age_ms` how long before the request the newest
    of them happened. `allocation` maps tests to the cells that the member is in. `fallbacks` is empty when everything was at
    hand. `seconds` is the time each stage took.
    """

    page_id: str
    member_id: str
    at_ms: int
    device: str
    country: str | None
    snapshot: str | None
    fence: dict[str, str]
    state_age_ms: int | None
    tier: Tier
    rows: tuple[Row, ...]
    fallbacks: tuple[Fallback, ...]
    seconds: dict[str, float]
    allocation: dict[str, str] = {}

    def keep_reasons(self, reasons: "Reasons") -> None:
        """Remember what the page was made from; called by whoever makes it."""
        self.__dict__["reasons"] = reasons

    @property
    def reasons(self) -> "Reasons | None":
        """What the page was made from; None for one of what is popular from memory, and for one that was decoded."""
        return self.__dict__.get("reasons")

    @property
    def cursor(self) -> str | None:
        """What to hand back as `after` to see more; None for a page that does not go on: one of what is popular, from memory."""
        return None if self.reasons is None else self.reasons.cursor()

    def explain(self) -> "list[Explanation]":
        """Why each cell is there, from the top left on.

        Raises
        ------
        InputError : it is no longer known what the page was made from: it was decoded, or it shows what is popular, from memory.
        """
        reasons = self.reasons
        if reasons is None:
            raise InputError(
                f"page {self.page_id!r} cannot be explained cell by cell: it was decoded, or it shows what is popular; "
                f"its fallbacks say why"
            )
        return [reasons.explain(cell) for row in self.rows for cell in row.cells]


class Recommendation(msgspec.Struct, frozen=True, gc=False):
    """One title of a ranked list; `rank` counts from 0."""

    title_id: str
    name: str
    rank: int
    score: float
    tier: Tier
    evidence: str
