"""Trending's pure parts: windows, and estimates on data whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearline.trending import estimating
from nearline.trending.estimating import Counts, Estimate
from nearline.trending.windows import Windows, place_of
from shared.config import TrendingConfig

HOUR_MS = 3_600_000
NOON_MS = 20_000 * 24 * HOUR_MS + 12 * HOUR_MS
STRENGTH = 200.0
WINDOWS = Windows(TrendingConfig(windows=3, half_life_h=2.0, utc_offset_h={"US": -5.0, "IN": 5.5}))


def shown(impressions: np.ndarray, takes: np.ndarray, starts: np.ndarray | None = None) -> Counts:
    """Counts of a segment; every start is a take unless they are given."""
    return Counts(impressions.astype(float), takes.astype(float), (takes if starts is None else starts).astype(float))


def nothing(titles: int) -> Counts:
    return Counts(np.zeros(titles), np.zeros(titles), np.zeros(titles))


def estimated(own: Counts, others: Counts | None = None, limit: int = 10) -> Estimate:
    return estimating.estimate(own, others or nothing(len(own.takes)), STRENGTH, 0.95, limit)


@pytest.mark.parametrize(
    ("country", "at_ms", "segment"),
    [
        ("US", NOON_MS, "US/1"),
        ("us", NOON_MS - HOUR_MS - 1, "US/0"),
        ("IN", NOON_MS + HOUR_MS // 2, "IN/3"),
        ("DE", NOON_MS, "DE/2"),
        ("DE", NOON_MS - 1, "DE/1"),
        (None, NOON_MS, "/2"),
        ("Narnia", NOON_MS, "/2"),
        ("a/b", NOON_MS, "/2"),
    ],
)
def test_the_part_of_the_day_is_the_countrys_own(country: str | None, at_ms: int, segment: str) -> None:
    assert WINDOWS.segment(country, at_ms) == segment


def test_a_segment_is_read_back() -> None:
    assert (place_of("US/3"), place_of("/0")) == (("US", "evening"), (None, "night"))


def test_windows_are_kept_for_their_time_and_weigh_half_after_each_half_life() -> None:
    now = WINDOWS.of(NOON_MS)
    assert list(WINDOWS.kept(NOON_MS)) == [now - 2, now - 1, now, now + 1]
    assert WINDOWS.expires_at_ms(now - 2) == NOON_MS + HOUR_MS
    assert [WINDOWS.weight(now + age, NOON_MS) for age in (1, 0, -1, -3)] == [1.0, 1.0, 1.0, 0.5]


@given(st.integers(0, 4 * 10**12))
def test_every_moment_falls_into_one_window_that_outlives_it(at_ms: int) -> None:
    window = WINDOWS.of(at_ms)
    assert window * WINDOWS.length_ms <= at_ms < (window + 1) * WINDOWS.length_ms
    assert window in WINDOWS.kept(at_ms)
    assert WINDOWS.expires_at_ms(window) > at_ms


def test_planted_rates_are_recovered_and_lower_bounds_hold_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    titles = 20_000
    truth = random.beta(0.05 * STRENGTH, 0.95 * STRENGTH, titles)
    impressions = random.integers(1, 3000, titles)
    takes = random.binomial(impressions, truth)
    posterior, level = estimating.take_rates(shown(impressions, takes), nothing(titles), STRENGTH)
    assert level == pytest.approx(0.05, rel=0.01)
    assert np.mean((posterior.mean - truth) ** 2) < 0.5 * np.mean((takes / impressions - truth) ** 2)
    for chance in (0.05, 0.5, 0.95):
        assert np.mean(truth < posterior.quantile(chance)) == pytest.approx(chance, abs=0.006)
    assert np.mean(((truth - posterior.mean) / posterior.deviation) ** 2) == pytest.approx(1.0, abs=0.05)


def test_what_is_known_of_a_title_elsewhere_is_its_prior_at_this_segments_level() -> None:
    random = np.random.default_rng(1)
    titles = 5000
    abroad = random.beta(0.05 * STRENGTH, 0.95 * STRENGTH, titles)
    here = random.beta(0.5 * abroad * STRENGTH, (1 - 0.5 * abroad) * STRENGTH)  # half as keen, with the same favourites
    many, few = np.full(titles, 50_000), np.full(titles, 40)
    others = shown(many, random.binomial(many, abroad))
    own = shown(few, random.binomial(few, here))
    posterior, level = estimating.take_rates(own, others, STRENGTH)
    alone, _ = estimating.take_rates(own, nothing(titles), STRENGTH)
    assert level == pytest.approx(0.025, rel=0.05)
    assert np.mean((posterior.mean - here) ** 2) < 0.75 * np.mean((alone.mean - here) ** 2)
    assert np.mean(here < posterior.quantile(0.05)) == pytest.approx(0.05, abs=0.012)


def test_luck_with_few_impressions_does_not_lead() -> None:
    random = np.random.default_rng(2)
    impressions = np.concatenate([np.full(50, 20_000), np.full(20_000, 8)])
    truth = np.full(len(impressions), 0.05)
    truth[:50] = np.linspace(0.05, 0.12, 50)
    own = shown(impressions, random.binomial(impressions, truth))
    assert (own.takes[50:] / 8).max() > 0.3  # the greatest raw rates are all of small samples
    assert set(estimated(own).titles) <= set(range(30, 50))


def test_more_takes_lead_and_more_impressions_without_a_take_fall_back() -> None:
    impressions, takes = np.full(6, 1000.0), np.array([30.0, 90.0, 50.0, 50.0, 70.0, 10.0])
    impressions[3] = 4000.0
    assert estimated(shown(impressions, takes)).titles.tolist() == [1, 4, 2, 0, 3, 5]


def test_decay_widens_what_is_known() -> None:
    fresh = estimated(shown(np.full(5, 1000.0), np.full(5, 50.0)))
    old = estimated(shown(np.full(5, 10.0), np.full(5, 0.5)))
    assert (old.deviation > 2 * fresh.deviation).all()
    assert (old.lower < fresh.lower).all()


def test_a_service_without_impressions_is_ordered_by_its_starts() -> None:
    starts = np.array([3.0, 400.0, 0.0, 90.0, 200.0])
    found = estimated(Counts(np.zeros(5), np.zeros(5), starts))
    assert found.titles.tolist() == [1, 4, 3, 0]
    assert np.isfinite(found.score).all()
    assert found.score[0] > 1.0 > found.score[-1]


def test_starts_that_no_page_accounts_for_count_by_their_share() -> None:
    impressions, takes = np.full(4, 5000.0), np.array([260.0, 250.0, 240.0, 250.0])
    organic = np.array([0.0, 0.0, 30.0, 0.0])
    assert estimated(shown(impressions, takes)).titles[0] == 0
    assert estimated(shown(impressions, takes, takes + 100 * organic)).titles[0] == 2


def test_the_best_are_the_same_whether_all_or_some_are_worked_out_exactly() -> None:
    random = np.random.default_rng(3)
    impressions = random.integers(1, 5000, 4000)
    own = shown(impressions, random.binomial(impressions, random.beta(10, 190, 4000)))
    whole = estimated(own, limit=4000)
    assert estimated(own, limit=20).titles.tolist() == whole.titles[:20].tolist()


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30))
def test_any_counts_give_finite_estimates_in_order(rows: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, dtype=float).reshape(-1, 3)
    own = Counts(table[:, 0], np.minimum(table[:, 0], table[:, 1]), table[:, 2])
    found = estimated(own)
    for values in (found.score, found.rate, found.deviation, found.lower):
        assert np.isfinite(values).all()
    assert (np.diff(found.score) <= 0).all()
    assert ((found.lower >= 0) & (found.lower <= 1) & (found.rate > 0) & (found.rate < 1)).all()


def test_nothing_counted_is_nothing_trending() -> None:
    assert len(estimated(nothing(0)).titles) == len(estimated(nothing(7)).titles) == 0
