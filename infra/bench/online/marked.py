"""Two snapshots of the same service that no answer may mix: the same titles under other indices, and named after their snapshot.

In both, candidates are titles of even number; read under the other snapshot's indices they would be of odd number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.bench.online.world import Member, World
from online import Page
from shared.titles import Title

MARKS = ("Alpha", "Beta")
TITLE_LISTS = ("similar_titles", "popular", "trending")
"""How the names of the arrays begin that hold title indices."""


@dataclass(frozen=True)
class MarkedWorld:
    """A world whose snapshot can be told from the other one's; its number of titles is even.

    Parameters
    ----------
    mark : one of `MARKS`; titles are named after it, and those of the second are in reverse order.
    """

    base: World
    mark: str

    @property
    def created_at_ms(self) -> int:
        """As the base's."""
        return self.base.created_at_ms

    @property
    def now_ms(self) -> int:
        """As the base's."""
        return self.base.now_ms

    def catalogue(self) -> list[Title]:
        """The titles in this snapshot's order, under its names."""
        named = [replace(title, name=f"{self.mark} {title.name}") for title in self.base.catalogue()]
        return named[::-1] if self._is_reversed else named

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Those of the base by this snapshot's indices."""
        found = self.base.arrays()
        if self._is_reversed:
            for name in found:
                if name.startswith(TITLE_LISTS):
                    found[name] = self._here(found[name])
            for name in ("similar_titles", "similar_scores"):
                found[name] = np.ascontiguousarray(found[name][::-1])
        return found

    def people(self) -> Iterator[Member]:
        """Every member, with the even ones of their candidates."""
        for member in self.base.people():
            is_even = member.titles % 2 == 0
            yield replace(member, titles=self._here(member.titles[is_even]), scores=member.scores[is_even])

    @property
    def _is_reversed(self) -> bool:
        return self.mark == MARKS[1]

    def _here(self, titles: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Title numbers as indices of this snapshot."""
        here: npt.NDArray[np.int32] = (self.base.titles - 1 - titles if self._is_reversed else titles).astype(np.int32)
        return here


def mixture(page: Page) -> str | None:
    """What of a page does not belong to the snapshot that it names; None for nothing."""
    if page.snapshot is None:
        return None
    mark = next(mark for mark in MARKS if page.snapshot.startswith(mark))
    (other,) = (known for known in MARKS if known != mark)
    for row in page.rows:
        if other in row.name:
            return f"a row {row.name!r} in a page of {page.snapshot}"
        for cell in row.cells:
            if not cell.name.startswith(mark) or other in cell.evidence:
                return f"{cell.name!r} ({cell.evidence}) in a page of {page.snapshot}"
            if cell.tier == "precomputed" and int(cell.title_id[1:]) % 2:
                return f"candidate {cell.title_id} in a page of {page.snapshot}"
    return None
