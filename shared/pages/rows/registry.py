"""Rows by name: what `[online] rows_shown` and experiments may list, and the page's default template."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

from shared.dotted import load_object
from shared.errors import ConfigError
from shared.pages.drafts import RowBuilder
from shared.pages.rows.continue_watching import ContinueWatching
from shared.pages.rows.discovery import FreshFinds, PickSomeYouLike
from shared.pages.rows.genres import GenreRows, MicroGenreRows
from shared.pages.rows.lately import NewReleases, PopularInCountry, TrendingNow
from shared.pages.rows.own_titles import MyList, WatchItAgain
from shared.pages.rows.picks import BecauseYouWatched, TopPicks

_SINGLE: dict[str, Callable[[], RowBuilder]] = {
    "continue-watching": ContinueWatching,
    "top-picks": TopPicks,
    "ask": PickSomeYouLike,
    "trending": TrendingNow,
    "popular-in-country": PopularInCountry,
    "new-releases": NewReleases,
    "fresh-finds": FreshFinds,
    "my-list": MyList,
    "watch-again": WatchItAgain,
}
_SEVERAL: dict[str, Callable[[int, int | None], RowBuilder]] = {
    "because-you-watched": BecauseYouWatched,
    "genres": GenreRows,
    "micro-genres": MicroGenreRows,
}
"""Those that draft several rows."""
ROWS: MappingProxyType[str, Callable[..., RowBuilder]] = MappingProxyType({**_SINGLE, **_SEVERAL})
"""Row builders by the names that a configuration has for them."""

TEMPLATE = (
    "continue-watching",
    "top-picks",
    "ask",
    "because-you-watched*1",
    "trending",
    "my-list",
    "genres*2",
    "micro-genres*1",
    "because-you-watched*1",
    "new-releases",
    "popular-in-country",
    "micro-genres*2",
    "fresh-finds",
    "watch-again",
    "because-you-watched*1",
    "genres*3",
    "micro-genres",
    "genres",
)
"""The page from top to bottom unless `[online] rows_shown` says otherwise."""

_COUNTED = re.compile(r"([a-z-]+)\*([1-9]\d?)")


def load_rows(names: Sequence[str], where: str = "[online] rows_shown") -> tuple[RowBuilder, ...]:
    """The builders that some names stand for, in their order; `TEMPLATE` for no names.

    A name is one of `ROWS` or `module:Class`, a class of one's own that is made without arguments. One that drafts several rows
    may say how many: `genres*2`. The same name further down goes on with those after; without a number it takes all the rest.

    Parameters
    ----------
    where : what listed the names; begins the message about a wrong one.

    Raises
    ------
    ConfigError : a name that is unknown, or that comes again after all of it was taken; a class that cannot be used.
    """
    if not names:
        return DEFAULT_ROWS
    taken: Counter[str] = Counter()
    finished: set[str] = set()
    builders: list[RowBuilder] = []
    for name in names:
        if ":" in name:
            builders.append(_own(name, where))
            continue
        counted = _COUNTED.fullmatch(name)
        base, count = (counted[1], int(counted[2])) if counted else (name, None)
        if base not in ROWS or (count is not None and base in _SINGLE):
            known = ", ".join((*_SINGLE, *(f"{several}[*N]" for several in _SEVERAL)))
            raise ConfigError(f"{where} names {name!r}; known are {known}, and classes written module:Class")
        if base in finished:
            raise ConfigError(f"{where} names {name!r} again after all its rows")
        if base in _SINGLE:
            builders.append(_SINGLE[base]())
        else:
            builders.append(_SEVERAL[base](taken[base], count))
            taken[base] += count or 0
        if count is None:
            finished.add(base)
    return tuple(builders)


def _own(path: str, where: str) -> RowBuilder:
    """A builder of a class that somebody else wrote."""
    made: Any = load_object(path, where)
    try:
        builder: RowBuilder = made()
    except Exception as error:  # a constructor of somebody else's can raise anything
        raise ConfigError(f"{where}: {path!r} cannot be made without arguments ({type(error).__name__}: {error})") from None
    if not callable(getattr(builder, "draft", None)):
        raise ConfigError(f"{where}: {path!r} has no method draft(context)")
    return builder


DEFAULT_ROWS = load_rows(TEMPLATE)
