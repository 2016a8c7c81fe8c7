"""The request library: a member's page or ranked list from one Redis round trip.

    with Recommender.from_config("marquee.toml") as recommender:
        page = recommender.page("m42", device="tv", country="US")

Importing it loads neither Spark, torch nor Faust. Drawing a page is `online.drawing`, imported on its own.
"""

from online.recommender import Recommender
from shared.pages.answers import Cell, Fallback, Page, Recommendation, Row, Tier
from shared.pages.drafts import Draft, RowBuilder, RowContext
from shared.pages.rows import DEFAULT_ROWS

__all__ = [
    "DEFAULT_ROWS",
    "Cell",
    "Draft",
    "Fallback",
    "Page",
    "Recommendation",
    "Recommender",
    "Row",
    "RowBuilder",
    "RowContext",
    "Tier",
]
