"""The request library: a member's page or ranked list from one Redis round trip.

    with Recommender.from_config("marquee.toml") as recommender:
        page = recommender.page("m42", device="tv", country="US")

Importing it loads neither Spark, torch nor Faust, and what it is made of only when a name is first used: numpy alone takes longer
to import than a page takes to build. Drawing a page is `online.drawing`, the HTTP server `online.service`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from online.recommender import Recommender
    from online.records import MemberRecord
    from online.requesting import Asking
    from shared.pages.answers import Cell, Fallback, MoreOfRow, Page, Recommendation, Row, Tier
    from shared.pages.drafts import Draft, RowBuilder, RowContext
    from shared.pages.explaining import Explanation
    from shared.pages.rows import DEFAULT_ROWS

__all__ = [
    "DEFAULT_ROWS",
    "Asking",
    "Cell",
    "Draft",
    "Explanation",
    "Fallback",
    "MemberRecord",
    "MoreOfRow",
    "Page",
    "Recommendation",
    "Recommender",
    "Row",
    "RowBuilder",
    "RowContext",
    "Tier",
]

_HOMES = {
    "DEFAULT_ROWS": "shared.pages.rows",
    "Asking": "online.requesting",
    "Cell": "shared.pages.answers",
    "Draft": "shared.pages.drafts",
    "Explanation": "shared.pages.explaining",
    "Fallback": "shared.pages.answers",
    "MemberRecord": "online.records",
    "MoreOfRow": "shared.pages.answers",
    "Page": "shared.pages.answers",
    "Recommendation": "shared.pages.answers",
    "Recommender": "online.recommender",
    "Row": "shared.pages.answers",
    "RowBuilder": "shared.pages.drafts",
    "RowContext": "shared.pages.drafts",
    "Tier": "shared.pages.answers",
}


def __getattr__(name: str) -> Any:
    """A public name, from where it lives (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'online' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
