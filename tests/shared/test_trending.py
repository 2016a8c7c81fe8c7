"""What is published as trending: bytes that tell when they are damaged, and the parts of the day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import trending
from shared.config import TrendingConfig
from shared.errors import SnapshotError
from shared.trending import PARTS, Trending, TrendingTitle, part_of_day

numbers = st.floats(allow_nan=False)
titles = st.builds(TrendingTitle, st.text(min_size=1), *[numbers] * 7)
published = st.builds(
    Trending,
    made_at_ms=st.integers(0, 2**53),
    country=st.sampled_from([None, "US"]),
    part=st.sampled_from(PARTS),
    titles=st.lists(titles, max_size=5).map(tuple),
)
SOME = Trending(made_at_ms=1000, country="US", part="evening", titles=(TrendingTitle("t1", 2.0, 0.1, 0.01, 0.08, 9.0, 1.0, 1.0),))


@given(published)
def test_it_round_trips(some: Trending) -> None:
    assert trending.decode(trending.encode(some)) == some


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_altered_byte_is_noticed(at: int, change: int) -> None:
    blob = bytearray(trending.encode(SOME))
    blob[at % len(blob)] ^= change
    with pytest.raises(SnapshotError, match="trending titles"):
        trending.decode(bytes(blob))


def test_it_is_fresh_until_it_would_have_expired() -> None:
    assert SOME.is_fresh(1000 + 60_000, 60)
    assert not SOME.is_fresh(1001 + 60_000, 60)
    assert not SOME.is_fresh(-60_000, 60)


def test_each_part_of_the_day_has_six_hours_of_local_time() -> None:
    settings = TrendingConfig(utc_offset_h={"IN": 5.5, "US": -5.0})
    hours = [part_of_day(settings, None, hour * 3_600_000) for hour in range(24)]
    assert [hours.count(part) for part in PARTS] == [6, 6, 6, 6]
    assert hours[0] == "night" and hours[23] == "evening"
    assert part_of_day(settings, "IN", 30 * 60_000) == "morning"
    assert part_of_day(settings, "US", 0) == "evening"
    assert part_of_day(settings, "DE", 0) == "night"
