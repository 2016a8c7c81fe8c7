"""What the rows need of a snapshot, worked out when it is loaded, so that no request waits for it."""

from shared.pages.arrivals import Arrivals
from shared.pages.rows.discovery import titles_to_ask_about
from shared.pages.serving import Serving
from shared.pages.shelves import Shelves


def prepare(serving: Serving) -> None:
    """Work out the shelves, the arrivals and the titles to ask about: some tenths of a second for ten thousand titles."""
    Shelves.of(serving)
    Arrivals.of(serving)
    serving.once(titles_to_ask_about)
