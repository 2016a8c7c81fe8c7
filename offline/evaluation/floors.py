"""The floor under every report: the same titles for all, counted in the ways that the data allow."""

from typing import Any

from offline.interactions import Interactions
from offline.models import Model, Popularity, PopularitySettings
from offline.models.popularity import HOUR_MS

FLOOR = "popularity"
RECENT_SHARE = 0.1  # of the time that training spans: after so long a play counts half


def floors(train: Interactions) -> dict[str, Model[Any]]:
    """Popularity overall; by country where members of several are known; and each with time decay where times differ."""
    by_country = train.country is not None and len({code for code in train.country if code is not None}) > 1
    half_life_h = 0.0
    if train.at_ms is not None and train.at_ms.size:
        half_life_h = RECENT_SHARE * float(train.at_ms.max() - train.at_ms.min()) / HOUR_MS
    made: dict[str, Model[Any]] = {FLOOR: Popularity(PopularitySettings(by_country=False))}
    if by_country:
        made[f"{FLOOR} by country"] = Popularity(PopularitySettings(by_country=True))
    if half_life_h > 0:
        made[f"{FLOOR} lately"] = Popularity(PopularitySettings(by_country=False, half_life_h=half_life_h))
    if by_country and half_life_h > 0:
        made[f"{FLOOR} lately by country"] = Popularity(PopularitySettings(by_country=True, half_life_h=half_life_h))
    return made
