from offline.evaluation.pages.visits import PAUSE_MS, Splitting, visits
from shared.events import SCHEMA_VERSION, Play

MINUTE_MS = 60_000


def play(title: str, minute: int, share: float = 1.0, session: str = "s", **others: str) -> Play:
    """A title of 100 s, of which nothing was watched before this report."""
    return Play(
        schema=SCHEMA_VERSION, event_id=f"{title}{minute}", member_id="m", title_id=title, kind="stop", session_id=session,
        at_ms=minute * MINUTE_MS, position_s=100 * share, runtime_s=100.0, watched_s=100 * share,
        **{"device": "tv", "country": "US", **others},
    )  # fmt: skip


def test_a_session_is_a_visit() -> None:
    plays = [play("a", 10), play("b", 12), play("c", 14, session="t"), play("d", 15, session="t")]
    first, second = visits([play("z", 1)], plays, Splitting())
    assert (first.wanted, second.wanted) == (("a", "b"), ("c", "d"))
    assert [entry.title_id for entry in first.state.played] == ["z"]
    assert [entry.title_id for entry in second.state.played] == ["z", "a", "b"]


def test_the_page_was_there_before_the_first_play_began_and_after_the_last_one_stopped() -> None:
    [one] = visits([], [play("a", 10)], Splitting())
    assert one.at_ms == 10 * MINUTE_MS - 100_000
    [other] = visits([play("z", 9)], [play("a", 10)], Splitting())
    assert other.at_ms == 9 * MINUTE_MS


def test_a_pause_or_many_plays_bring_a_member_back_to_the_page() -> None:
    hours = PAUSE_MS // MINUTE_MS
    apart = visits([], [play("a", 0), play("b", hours), play("c", 2 * hours + 1)], Splitting())
    assert [visit.wanted for visit in apart] == [("a", "b"), ("c",)]
    many = visits([], [play(title, at) for at, title in enumerate("abcde")], Splitting(plays=2))
    assert [visit.wanted for visit in many] == [("a", "b"), ("c", "d"), ("e",)]


def test_glances_are_not_wanted_but_known_later() -> None:
    plays = [play("a", 1, share=0.01), play("b", 2), play("a", 3, share=0.02), play("c", 4, share=0.02), play("d", 5)]
    found = list(visits([], plays, Splitting(plays=2)))
    assert [visit.wanted for visit in found] == [("b",), ("d",)]
    assert {entry.title_id for entry in found[1].state.played} == {"a", "b", "c"}


def test_a_title_is_wanted_once_and_visits_are_limited() -> None:
    plays = [play("a", at) for at in range(4)] + [play("b", 5, session="t"), play("c", 6, session="u")]
    found = list(visits([], plays, Splitting(visits=2)))
    assert [visit.wanted for visit in found] == [("a",), ("b",)]


def test_an_unknown_country_is_none() -> None:
    [one] = visits([], [play("a", 1, country="ZZ", device="unknown")], Splitting())
    assert (one.country, one.device) == (None, "unknown")
