"""Rows of one genre or micro-genre each: which ones, and what is in them, is the member's."""

from collections.abc import Iterable, Iterator, Sequence

from shared.pages.drafts import Draft, RowContext
from shared.pages.shelves import Shelf


class GenreRows:
    """One row a genre, the member's favourite genres first, each in the member's order."""

    def __init__(self, first: int = 0, count: int | None = None) -> None:
        """Take `count` genres (None: all that the page has room for) after the `first` ones."""
        self._part = slice(first, None if count is None else first + count)

    def draft(self, context: RowContext) -> Iterable[Draft]:
        return _drafts(context.shelves.genres[self._part], "genre")


class MicroGenreRows:
    """One row a micro-genre, such as "Tense Dramas from Denmark", made of title tags; catalogues without tags have none."""

    def __init__(self, first: int = 0, count: int | None = None) -> None:
        """Take `count` micro-genres (None: all that the page has room for) after the `first` ones."""
        self._part = slice(first, None if count is None else first + count)

    def draft(self, context: RowContext) -> Iterable[Draft]:
        return _drafts(context.shelves.micro_genres[self._part], "micro-genre")


def _drafts(shelves: Sequence[Shelf], kind: str) -> Iterator[Draft]:
    for shelf in shelves:
        if len(shelf.titles):
            yield Draft(key=shelf.key, name=shelf.name, titles=shelf.titles, kind=kind)
