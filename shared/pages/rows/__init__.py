"""The rows that a page can have: each builder drafts its own, with more titles than fit, and knows nothing of the others.

`ROWS` names them all; `[online] rows_shown` of marquee.toml lists which a page has, from top to bottom. A team adds a row by
writing a class with one method, and either names it there as `module:Class` or passes it to `Recommender(config, rows=…)`.
Titles that another row took are left out when the page is put together (`shared.pages.policies`). Pure.
"""

from shared.pages.rows.continue_watching import ContinueWatching
from shared.pages.rows.discovery import FreshFinds, PickSomeYouLike
from shared.pages.rows.genres import GenreRows, MicroGenreRows
from shared.pages.rows.lately import NewReleases, PopularInCountry, TrendingNow
from shared.pages.rows.own_titles import MyList, WatchItAgain
from shared.pages.rows.picks import BecauseYouWatched, TopPicks
from shared.pages.rows.preparing import prepare
from shared.pages.rows.registry import DEFAULT_ROWS, ROWS, TEMPLATE, load_rows

__all__ = [
    "DEFAULT_ROWS",
    "ROWS",
    "TEMPLATE",
    "BecauseYouWatched",
    "ContinueWatching",
    "FreshFinds",
    "GenreRows",
    "MicroGenreRows",
    "MyList",
    "NewReleases",
    "PickSomeYouLike",
    "PopularInCountry",
    "TopPicks",
    "TrendingNow",
    "WatchItAgain",
    "load_rows",
    "prepare",
]
