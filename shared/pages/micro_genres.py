"""Which micro-genres a catalogue has, and what they are called: "Tense Dramas from Denmark".

A micro-genre joins a genre with a tag, with the country where a title was made, or with both.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shared import countries
from shared.titles import Title

TAGS = 4
"""Tags of a title that are looked at: the first, which fit it most."""
GENRES = 4

_SAME_STEM = 5
_NOUNS = {
    "Action": "Action Titles", "Adventure": "Adventures", "Animation": "Animated Titles", "Children's": "Children's Titles",
    "Comedy": "Comedies", "Crime": "Crime Stories", "Documentary": "Documentaries", "Drama": "Dramas", "Family": "Family Titles",
    "Fantasy": "Fantasy Stories", "Film-Noir": "Film Noirs", "History": "Historical Titles", "Horror": "Horror Stories",
    "Musical": "Musicals", "Mystery": "Mysteries", "Romance": "Romances", "Thriller": "Thrillers", "War": "War Stories",
    "Western": "Westerns",
}  # fmt: skip
"""Genres that are no word for a title, or that have a plural of their own."""


class MicroGenre(NamedTuple):
    """A genre with a tag, an origin, or both."""

    genre: str
    tag: str | None = None
    origin: str | None = None

    @property
    def key(self) -> str:
        """Names its row in logs: `micro:Tense/Drama/DK`, with `-` for what is missing."""
        return f"micro:{self.tag or '-'}/{self.genre}/{self.origin or '-'}"

    @property
    def name(self) -> str:
        """What its row is called. A tag of several words is a theme: "Dramas from Denmark: Based on a Book"."""
        noun = _NOUNS.get(self.genre, f"{self.genre} Titles")
        origin = f" from {countries.name(self.origin)}" if self.origin else ""
        if not self.tag:
            return f"{noun}{origin}"
        tag = f"{self.tag[0].upper()}{self.tag[1:]}"
        return f"{noun}{origin}: {tag}" if " " in tag else f"{tag} {noun}{origin}"

    @property
    def parts(self) -> tuple[str, ...]:
        """What it is made of, told apart by kind."""
        return tuple(
            f"{kind}:{part}"
            for kind, part in (("genre", self.genre), ("tag", self.tag), ("origin", self.origin))
            if part is not None
        )


def micro_genres(title: Title) -> Iterator[MicroGenre]:
    """All that a title belongs to, each once."""
    for genre in title.genres[:GENRES]:
        if title.origin:
            yield MicroGenre(genre, None, title.origin)
        for tag in title.tags[:TAGS]:
            if tag[:_SAME_STEM].lower() == genre[:_SAME_STEM].lower():  # nobody looks for romantic romances
                continue
            yield MicroGenre(genre, tag)
            if title.origin:
                yield MicroGenre(genre, tag, title.origin)


def of_catalogue(titles: Sequence[Title], least: int, most: int) -> list[MicroGenre]:
    """The micro-genres of a catalogue that at least `least` of its titles belong to: the `most` largest, in a fixed order."""
    sizes = Counter(micro_genre for title in titles for micro_genre in micro_genres(title))
    large = [(-size, micro_genre.key, micro_genre) for micro_genre, size in sizes.items() if size >= least]
    return [micro_genre for _, _, micro_genre in sorted(large)[:most]]
