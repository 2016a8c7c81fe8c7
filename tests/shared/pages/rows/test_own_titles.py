"""Watch It Again and My List: what the member knows, and nothing that they did not like."""

from shared.pages.rows import MyList, WatchItAgain
from tests.online.plays import play, thumb
from tests.online.snapshot_builder import NOW_MS
from tests.shared.pages.rows.drafting import DAY_MS, context_of, drafted, ids_of, listed

LONG_AGO_MS = NOW_MS - 40 * DAY_MS


def test_titles_finished_long_ago_come_again_those_with_a_thumb_up_first() -> None:
    history = [play(f"t{number}", 0.95, at_ms=LONG_AGO_MS + number) for number in (1, 2, 3, 4, 5)]
    history += [play("t6", 0.95, at_ms=NOW_MS - 10 * DAY_MS), thumb("t3", True), thumb("t4", False)]
    history.append(play("t5", 0.3, at_ms=NOW_MS - DAY_MS))  # begun again: Continue Watching has it
    (draft,) = drafted(WatchItAgain(), context := context_of(history))
    found = ids_of(draft, context)
    assert found[0] == "t3"
    assert sorted(found) == ["t1", "t2", "t3"]
    assert draft.owns
    assert not context.ranking.is_open[draft.titles].any()


def test_what_suits_the_taste_of_today_comes_again_first() -> None:
    # t9 and t1 are of the kinds that the candidates are of and are not of: tense comedies from the US, and tense crime from DK.
    history = [play("t9", 0.95, at_ms=LONG_AGO_MS), play("t1", 0.95, at_ms=LONG_AGO_MS + 1)]
    kind = context_of().serving.snapshot.catalogue
    alike = [
        at for at, title in enumerate(kind.titles) if (title.genres[0], title.tags, title.origin) == ("Comedy", ("Tense",), "US")
    ]
    (draft,) = drafted(WatchItAgain(), context := context_of(history, candidates=[at for at in alike if at != 9]))
    assert ids_of(draft, context) == ["t9", "t1"]


def test_the_list_has_its_newest_entries_first_whatever_else_is_known_of_them() -> None:
    history = [listed(f"t{number}", at_ms=NOW_MS - 1000 + number) for number in (1, 2, 3, 4)]
    history += [listed("t2", "list_remove", at_ms=NOW_MS - 10), listed("t999"), listed("t7"), thumb("t3", False)]
    history.append(play("t4", 0.95))
    (draft,) = drafted(MyList(), context := context_of(history, country="US"))
    assert ids_of(draft, context) == ["t4", "t1"]  # t7 is for Germany alone
    assert draft.owns and draft.least == 1


def test_without_a_list_or_an_old_play_there_is_no_such_row() -> None:
    context = context_of([play("t1", 0.95), listed("t2", "list_remove"), listed("t999")])
    assert drafted(MyList(), context) == drafted(WatchItAgain(), context) == []
