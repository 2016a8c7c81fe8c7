"""Which window and which place an event counts in: by its own time, not by when it came. Pure.

A page and its takes count in the window of the page's time; a start counts in the window of its own. What is older than the
windows kept, or more than one window ahead of now, is not counted.
"""

from dataclasses import dataclass

from shared.config import TrendingConfig
from shared.trending import PARTS, Part, part_of_day


@dataclass(frozen=True, slots=True)
class Windows:
    """The rules of time and place of one configuration."""

    config: TrendingConfig

    @property
    def length_ms(self) -> int:
        """How long one window is."""
        return self.config.window_s * 1000

    def of(self, at_ms: int) -> int:
        """The number of the window that a moment falls into; they are aligned to the Unix epoch."""
        return at_ms // self.length_ms

    def kept(self, now_ms: int) -> range:
        """The windows that are counted at a moment, with the one that comes next: clocks differ."""
        now = self.of(now_ms)
        return range(now - self.config.windows + 1, now + 2)

    def expires_at_ms(self, window: int) -> int:
        """When what was counted in a window is of no more use."""
        return (window + self.config.windows) * self.length_ms

    def weight(self, window: int, now_ms: int) -> float:
        """What one event of a window counts for: 1 until the window ends, then half with each half-life."""
        age_ms = max(0, now_ms - (window + 1) * self.length_ms)
        return float(0.5 ** (age_ms / (self.config.half_life_h * 3_600_000)))

    def part(self, country: str | None, at_ms: int) -> Part:
        """See `shared.trending.part_of_day`."""
        return part_of_day(self.config, country, at_ms)

    def segment(self, country: str | None, at_ms: int) -> str:
        """Country and part of the day as the counters name them: `US/3` is its evening.

        What is no code of two letters counts as an unknown country.
        """
        known = country.upper() if country and len(country) == 2 and country.isascii() and country.isalpha() else ""
        return f"{known}/{PARTS.index(self.part(known, at_ms))}"


def place_of(segment: str) -> tuple[str | None, Part]:
    """Country of a segment, None where it is unknown, and part of the day."""
    country, _, part = segment.partition("/")
    return country or None, PARTS[int(part)]
