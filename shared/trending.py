"""What is trending in a country at a part of the day, as the stream workers publish it and the request library reads it."""

from typing import Literal, get_args

import msgspec

from shared import codecs
from shared.config import TrendingConfig
from shared.errors import SnapshotError

TRENDING_VERSION = 1

Part = Literal["night", "morning", "afternoon", "evening"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Six hours each, from midnight by the country's local time."""

_HOUR_MS = 3_600_000


class TrendingTitle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One title and what is known of it here.

    Attributes
    ----------
    score : what titles are ordered by: how far it is above the average title of this place and time, 1 being average.
    rate : chance that a member who is shown the title starts it, as the posterior mean.
    deviation : the standard deviation of that.
    lower : the rate is above this with the configured credibility.
    impressions, takes, starts : decayed counts of this country and part of the day.
    """

    title_id: str
    score: float
    rate: float
    deviation: float
    lower: float
    impressions: float
    takes: float
    starts: float


class Trending(msgspec.Struct, frozen=True, kw_only=True):
    """What is trending in one country (None: everywhere) at one part of the day, the most trending first."""

    made_at_ms: int
    country: str | None
    part: Part
    titles: tuple[TrendingTitle, ...]

    def is_fresh(self, now_ms: int, expire_s: int) -> bool:
        """Whether it may be shown at a moment; also not at one long before it was made, which a replayed request asks for."""
        return abs(now_ms - self.made_at_ms) <= expire_s * 1000


def part_of_day(config: TrendingConfig, country: str | None, at_ms: int) -> Part:
    """The part of the day in a country at a moment, by the offset configured for it; by UTC without one."""
    local_ms = at_ms + config.utc_offset_h.get(country or "", 0.0) * _HOUR_MS
    return PARTS[int(local_ms // (6 * _HOUR_MS)) % len(PARTS)]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Trending)


def encode(trending: Trending) -> bytes:
    """As bytes for Redis, with version and checksum."""
    return codecs.seal(TRENDING_VERSION, _ENCODER.encode(trending))


def decode(blob: bytes) -> Trending:
    """Read what `encode` wrote.

    Raises
    ------
    SnapshotError : the blob is corrupt or of another version.
    """
    body = codecs.unseal(blob, TRENDING_VERSION, "trending titles")
    try:
        return _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"trending titles cannot be read: {error}") from None
