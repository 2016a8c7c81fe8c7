"""Continue Watching: likely titles first, what was given up last, and a chance that tells policies where the row belongs."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.bench import continuing as bench
from shared.errors import InputError
from shared.pages.rows import ContinueWatching
from shared.pages.rows.continuing import BIAS, FEATURES, WEIGHTS, chance, features
from shared.state import Played
from tests.online.plays import play, thumb
from tests.online.snapshot_builder import NOW_MS
from tests.shared.pages.rows.drafting import DAY_MS, context_of, drafted, ids_of

HOUR_MS = 3_600_000
EPISODE_S = 2700.0

bookmarks = st.builds(
    Played,
    at_ms=st.integers(NOW_MS - 60 * DAY_MS, NOW_MS + HOUR_MS),
    event_id=st.just("e"),
    title_id=st.sampled_from(["t1", "t2", "t3"]),
    session_id=st.sampled_from(["s1", "s2"]),
    kind=st.sampled_from(["progress", "stop"]),
    position_ms=st.integers(0, 5_000_000),
    runtime_ms=st.sampled_from([1_500_000, 3_900_000, 5_400_000]),
)


@given(bookmarks, bookmarks)
def test_the_chance_is_the_logistic_of_what_the_bookmark_says(played: Played, last: Played) -> None:
    share, age_h = played.position_ms / played.runtime_ms, max(0, NOW_MS - played.at_ms) / HOUR_MS
    is_last, is_short = played.title_id == last.title_id, played.runtime_ms <= 65 * 60_000
    x = [share, share**2, math.log1p(age_h), math.cos(age_h / 24 * 2 * math.pi), played.session_id == last.session_id, is_last]
    expected = [*x, is_short, is_short and is_last]
    assert features(played, last, NOW_MS) == pytest.approx(expected)
    assert len(expected) == len(FEATURES) == len(WEIGHTS)
    assert chance(played, last, NOW_MS) == pytest.approx(1 / (1 + math.exp(-(np.dot(WEIGHTS, expected) + BIAS))))


def test_the_episode_of_the_last_evening_comes_before_a_film_and_one_of_long_ago_last() -> None:
    history = [
        play("t1", 0.5, at_ms=NOW_MS - 20 * DAY_MS, runtime_s=EPISODE_S),
        play("t2", 0.5, at_ms=NOW_MS - 26 * HOUR_MS, runtime_s=EPISODE_S),
        play("t3", 0.5, at_ms=NOW_MS - 25 * HOUR_MS),
    ]
    (draft,) = drafted(ContinueWatching(), context := context_of(history))
    assert ids_of(draft, context) == ["t2", "t3", "t1"]
    assert draft.evidence == ["continue at 22 min", "continue at 45 min", "continue at 22 min"]
    assert draft.progress == [0.5, 0.5, 0.5]


def test_what_was_given_up_comes_last_however_new_it_is() -> None:
    given_up = msgspec.structs.replace(play("t1", 0.03, at_ms=NOW_MS - 1000, runtime_s=EPISODE_S), kind="stop")
    history = [given_up, play("t2", 0.4, at_ms=NOW_MS - 20 * DAY_MS)]
    (draft,) = drafted(ContinueWatching(), context := context_of(history))
    assert ids_of(draft, context) == ["t2", "t1"]


def test_the_row_is_likelier_wanted_the_day_after_than_weeks_later() -> None:
    history = [play("t1", 0.5, runtime_s=EPISODE_S), play("t2", 0.3)]
    soon, late = (drafted(ContinueWatching(), context_of(history, now_ms=NOW_MS + days * DAY_MS))[0] for days in (1, 20))
    assert soon.chance is not None and late.chance is not None
    assert 0.0 < late.chance < soon.chance < 1.0
    state = context_of(history).state
    chances = [chance(played, state.played[-1], NOW_MS + DAY_MS) for played in state.in_progress()]
    assert soon.chance == pytest.approx(1 - np.prod([1 - value for value in chances]))


@pytest.mark.parametrize("history", [[], [play("t1", 0.95)], [play("t1", 0.5), thumb("t1", False)], [play("t999", 0.5)]])
def test_nothing_to_continue_is_no_row(history: list) -> None:
    assert drafted(ContinueWatching(), context_of(history)) == []


def test_a_bookmark_far_into_a_very_long_title_is_told() -> None:
    (draft,) = drafted(ContinueWatching(), context_of([play("t1", 0.5, runtime_s=60 * 3600.0)]))
    assert draft.evidence == ["continue at 23 h 59 min"]


def test_the_prior_orders_better_than_by_last_watched_in_a_world_it_does_not_know() -> None:
    found = bench.measure(members=300, titles=150, plays=9_000, seed=11)
    assert found.prior.within > found.recency.within + 0.05
    assert found.prior.row_auc > found.recency.row_auc
    assert found.model.row_chance == pytest.approx(found.model.row_rate, abs=0.05)
    assert found.model.auc > found.prior.auc - 0.03
    assert "fitted now" in bench.table(found)


def test_a_world_in_which_nothing_is_continued_fits_nothing() -> None:
    with pytest.raises(InputError, match="10 plays are too few to tell what is continued"):
        bench.measure(members=50, titles=150, plays=10, seed=1)


def test_the_area_under_the_curve_counts_pairs() -> None:
    score, is_positive = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True])
    assert bench.auc(score, is_positive) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
