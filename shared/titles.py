"""The catalogue's types. Member and title ids are opaque strings; inside one snapshot a title is an int32 index."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

UNKNOWN_COUNTRY = "ZZ"
"""The country of a play whose country nobody recorded (ISO 3166 reserves ZZ for users)."""


@dataclass(frozen=True, slots=True)
class Title:
    """One title of the catalogue.

    `released_ms` is the release in Unix milliseconds (negative before 1970) or None; `countries` lists where it may be
    shown, empty for everywhere.
    """

    title_id: str
    name: str
    genres: tuple[str, ...] = ()
    runtime_s: float = 5400.0
    released_ms: int | None = None
    countries: tuple[str, ...] = ()
    maturity: str | None = None


@dataclass(frozen=True)
class Catalogue:
    """All titles of one snapshot, in the order of their indices."""

    titles: Sequence[Title]

    def __len__(self) -> int:
        return len(self.titles)

    def __getitem__(self, index: int) -> Title:
        return self.titles[index]

    @cached_property
    def index(self) -> dict[str, int]:
        """Title id to index."""
        return {title.title_id: index for index, title in enumerate(self.titles)}

    @cached_property
    def genres(self) -> dict[str, npt.NDArray[np.int32]]:
        """Genre to the indices of its titles, each ascending, (n,) int32; genres in alphabetical order."""
        members: dict[str, list[int]] = {}
        for index, title in enumerate(self.titles):
            for genre in title.genres:
                members.setdefault(genre, []).append(index)
        return {genre: np.array(members[genre], dtype=np.int32) for genre in sorted(members)}

    @cached_property
    def country_restricted(self) -> npt.NDArray[np.int32]:
        """Indices of the titles that are limited to some countries, (n,) int32."""
        return np.array([index for index, title in enumerate(self.titles) if title.countries], dtype=np.int32)

    def available(self, country: str | None) -> npt.NDArray[np.bool_]:
        """Which titles may be shown in a country, (titles,) bool; None leaves nothing out."""
        mask = np.ones(len(self.titles), dtype=np.bool_)
        if country is not None:
            for index in self.country_restricted:
                mask[index] = country in self.titles[index].countries
        return mask
