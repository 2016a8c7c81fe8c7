"""The catalogue's types. Member and title ids are opaque strings; inside one snapshot a title is an int32 index."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shared.errors import InputError

UNKNOWN_COUNTRY = "ZZ"
"""The country of a play whose country nobody recorded (ISO 3166 reserves ZZ for users)."""


@dataclass(frozen=True, slots=True)
class Title:
    """One title of the catalogue.

    `released_ms` is the release in Unix milliseconds (negative before 1970) or None; `countries` lists where it may be
    shown, empty for everywhere. `maturity` is its rating, such as "PG-13", `tags` its moods and themes, such as "Tense", the
    most fitting first, and `origin` the ISO 3166 code of the country where it was made.
    """

    title_id: str
    name: str
    genres: tuple[str, ...] = ()
    runtime_s: float = 5400.0
    released_ms: int | None = None
    countries: tuple[str, ...] = ()
    maturity: str | None = None
    tags: tuple[str, ...] = ()
    origin: str | None = None


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

    def suitable(self, limit: str, order: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which titles a maturity limit lets through, (titles,) bool.

        A title without a rating, or with one that the order does not have, may be anything, so it is left out.

        Parameters
        ----------
        limit : the greatest rating to show; one of `order`.
        order : all ratings, the mildest first.

        Raises
        ------
        InputError : `order` does not have the limit.
        """
        if limit not in order:
            known = f"one of {', '.join(order)} is expected" if order else "[online] maturity_order names no ratings"
            raise InputError(f"maturity is {limit!r}; {known}")
        allowed = frozenset(order[: order.index(limit) + 1])
        return np.fromiter((title.maturity in allowed for title in self.titles), dtype=np.bool_, count=len(self.titles))
