"""What a state says to a model: weights, what is known already, and what rows are named after."""

from hypothesis import given
from hypothesis import strategies as st

from shared import histories, state
from shared.events import Feedback, Play
from shared.state import MemberState
from tests.online.plays import play, thumb

title_ids = st.integers(0, 30).map(lambda number: f"t{number}")
moments = st.integers(1_700_000_000_000, 1_700_000_009_999)
plays = st.builds(lambda title, share, at: play(title, share, at_ms=at), title_ids, st.floats(0, 1.2), moments)
thumbs = st.builds(lambda title, up, at: thumb(title, up, at_ms=at), title_ids, st.booleans(), moments)


def of(*events: Play | Feedback) -> MemberState:
    return state.fold(state.EMPTY, events)


def test_a_title_weighs_the_share_that_was_watched() -> None:
    found = histories.weights(of(play("half", 0.5), play("glance", 0.04), play("credits", 0.95)))
    assert found == {"half": 0.5, "credits": 0.95}


def test_a_title_finished_once_and_begun_anew_still_counts_as_finished() -> None:
    found = histories.weights(of(play("again", 0.95, at_ms=1_700_000_000_000), play("again", 0.1, at_ms=1_700_000_001_000)))
    assert found == {"again": 1.0}


def test_thumbs_outweigh_plays() -> None:
    found = histories.weights(of(play("loved", 0.2), thumb("loved", True), play("bored", 0.95), thumb("bored", False)))
    assert found == {"loved": 1.0}
    assert histories.weights(of(thumb("heard-of", True))) == {"heard-of": 1.0}


@given(st.lists(st.one_of(plays, thumbs), max_size=60))
def test_weights_are_positive_and_only_of_titles_that_are_known_or_liked(events: list[Play | Feedback]) -> None:
    member_state = of(*events)
    found = histories.weights(member_state)
    liked = {mark.title_id for mark in member_state.thumbs if mark.is_set}
    assert all(histories.GLANCE_SHARE <= weight <= 1.0 for weight in found.values())
    assert set(found) <= histories.known_titles(member_state) | liked
    assert not set(found) & member_state.disliked_titles


def test_everything_played_finished_or_disliked_is_known() -> None:
    member_state = of(play("glance", 0.01), play("seen", 1.0), thumb("no", False), thumb("yes", True))
    assert histories.known_titles(member_state) == {"glance", "seen", "no"}


def test_seeds_are_the_last_titles_watched_for_the_most_part() -> None:
    watched = [play(f"t{at}", 0.6, at_ms=1_700_000_000_000 + at) for at in range(20)]
    member_state = of(*watched, play("barely", 0.4), thumb("t19", False))
    found = histories.seeds(member_state)
    assert [seed.title_id for seed in found] == [f"t{at}" for at in range(18, 8, -1)]
    assert {seed.weight for seed in found} == {0.6}
