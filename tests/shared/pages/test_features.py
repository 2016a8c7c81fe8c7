"""The ranker's features: what each says, that they agree with the views of the state, and that nothing depends on the rest."""

import random

import numpy as np
import pytest

from shared import tastes
from shared.pages.blending import SOURCES, blend
from shared.pages.facts import Candidates, Facts
from shared.pages.features import DAY_MS, FEATURES, POSITION, TitleColumns, features
from shared.pages.request import Request
from shared.pages.serving import Serving
from shared.state import EMPTY, PLAYED_LIMIT, Mark, MemberState, Played
from shared.titles import Title
from tests.online.snapshot_builder import NOW_MS, build_snapshot

REQUEST = Request("m0", "tv", "US", NOW_MS)


@pytest.fixture(scope="module")
def serving() -> Serving:
    titles = build_snapshot(titles=300).titles
    titles[7] = Title("t7", "Undated", ("Drama",), 3600.0, None)
    return Serving(build_snapshot(titles=titles).loaded())


def column(found: np.ndarray, name: str) -> np.ndarray:
    return found[:, FEATURES.index(name)]


def of(serving: Serving, state: MemberState, request: Request = REQUEST) -> np.ndarray:
    """The features of all titles, with source scores of 0."""
    none = np.zeros((len(SOURCES), serving.count), np.float32)
    return features(serving, state, request, np.arange(serving.count, dtype=np.int32), none)


def played(title: str, share: float, age_ms: int, kind: str = "progress") -> Played:
    return Played(NOW_MS - age_ms, f"e-{title}", title, "s", kind, round(share * 5_400_000), 5_400_000)  # type: ignore[arg-type]


def random_state(seed: int, titles: int) -> MemberState:
    rng = random.Random(seed)
    entries = [
        played(f"t{rng.randrange(400)}", rng.random() ** 2, rng.randrange(90 * DAY_MS), rng.choice(["start", "progress", "stop"]))
        for _ in range(titles)
    ]
    latest = {entry.title_id: entry for entry in sorted(entries)}
    marks = [Mark(NOW_MS - rng.randrange(DAY_MS), f"t{rng.randrange(400)}", rng.random() < 0.6) for _ in range(titles // 4)]
    thumbs = {mark.title_id: mark for mark in sorted(marks)}
    finished = [Mark(entry.at_ms, entry.title_id, True) for entry in latest.values() if entry.is_finished]
    finished += [Mark(NOW_MS - 100 * DAY_MS - at, f"t{200 + at}", True) for at in range(titles)]
    known = {mark.title_id: mark for mark in sorted(finished)}
    ordered = tuple(sorted(latest.values()))[-PLAYED_LIMIT:]
    if len(ordered) < PLAYED_LIMIT:  # then every finished title is also a played one
        known = {title_id: mark for title_id, mark in known.items() if title_id in latest}
    return MemberState(played=ordered, finished=tuple(sorted(known.values())), thumbs=tuple(sorted(thumbs.values())))


@pytest.mark.parametrize(("seed", "titles"), [(1, 0), (2, 4), (3, 40), (4, 90), (5, 400)])
def test_tastes_are_those_of_the_state(serving: Serving, seed: int, titles: int) -> None:
    state = random_state(seed, titles)
    found = of(serving, state)
    genres = dict(zip(serving.ids, serving.title_genres, strict=True))
    expected = tastes.tastes(state, genres, NOW_MS)
    for name, taste in (("genre_taste_short", expected.short), ("genre_taste_long", expected.long)):
        length = np.sqrt(sum(value**2 for value in taste.values())) or 1.0
        cosine = [
            sum(taste.get(genre, 0.0) for genre in of_title) / (length * len(of_title) ** 0.5) for of_title in genres.values()
        ]
        assert np.allclose(column(found, name), cosine, atol=1e-5)
        assert titles == 0 or np.ptp(cosine) > 0.1


def test_marks_are_on_their_titles_and_on_no_others(serving: Serving) -> None:
    state = MemberState(
        played=(played("t5", 0.5, 900), played("gone", 0.5, 800), played("t6", 0.01, 700), played("t8", 0.95, 600)),
        finished=(Mark(NOW_MS - 600, "t8", True),),
        thumbs=(Mark(1, "t9", True), Mark(2, "t10", False)),
        my_list=(Mark(1, "t11", True), Mark(2, "t12", False)),
    )
    found = of(serving, state)
    expected = {
        "watched_share": {5: 0.5, 6: 0.01, 8: 0.95},
        "is_in_progress": {5: 1.0},
        "is_on_my_list": {11: 1.0},
        "thumb": {9: 1.0, 10: -1.0},
    }
    for name, values in expected.items():
        index = {serving.index[f"t{title}"]: value for title, value in values.items()}
        wanted = np.array([index.get(title, 0.0) for title in range(serving.count)], np.float32)
        assert np.allclose(column(found, name), wanted, atol=1e-6), name


def test_popularity_is_by_country_and_age_by_the_day(serving: Serving) -> None:
    here, elsewhere = of(serving, EMPTY), of(serving, EMPTY, Request("m0", "tv", "XX", NOW_MS))
    for order, name in ((serving.popular_order("US"), "popularity_in_country"), (serving.popular_order(None), "popularity")):
        listed = column(here, name)[order]
        assert listed[0] == 1.0 and np.all(np.diff(listed) < 0)
    assert np.array_equal(column(elsewhere, "popularity_in_country"), column(here, "popularity"))
    age = column(here, "log_age_days")
    dated = serving.index["t9"]
    assert age[dated] == pytest.approx(np.log1p(NOW_MS // DAY_MS - serving.released_ms[dated] / DAY_MS), rel=1e-5)
    unknown = serving.index["t7"]
    assert column(here, "is_age_unknown").nonzero()[0].tolist() == [unknown] and age[unknown] == 0.0
    before_all = of(serving, EMPTY, Request("m0", "tv", "US", 0))
    assert not column(before_all, "log_age_days").any()  # not released yet


def test_the_request_is_the_same_for_all_titles(serving: Serving) -> None:
    noon_ms = NOW_MS // DAY_MS * DAY_MS + DAY_MS // 2
    state = MemberState(played=(Played(noon_ms - 3 * DAY_MS, "e", "t1", "s", "stop", 100, 5000),))
    found = of(serving, state, Request("m0", "toaster", "US", noon_ms))
    told = dict(zip(FEATURES, found[3].tolist(), strict=True))
    assert (told["hour_sin"], told["hour_cos"]) == (pytest.approx(0, abs=1e-6), pytest.approx(-1))
    assert [told[f"device_{name}"] for name in ("tv", "phone", "tablet", "web", "other")] == [0, 0, 0, 0, 1]
    assert told["log_history"] == pytest.approx(np.log(2)) and told["log_idle_days"] == pytest.approx(np.log(4))
    assert dict(zip(FEATURES, of(serving, EMPTY)[3].tolist(), strict=True))["log_idle_days"] == 0.0


def test_positions_are_the_last_features_and_the_first_cell_without_any(serving: Serving) -> None:
    assert FEATURES[-2:] == POSITION and len(set(FEATURES)) == len(FEATURES)
    titles = np.array([3, 4], np.int32)
    none = np.zeros((len(SOURCES), 2), np.float32)
    shown = features(serving, EMPTY, REQUEST, titles, none, np.array([[0, 0], [2, 6]]))
    assert np.allclose(shown[:, -2:], [[0, 0], [np.log(3), np.log(7)]])
    assert not features(serving, EMPTY, REQUEST, titles, none)[:, -2:].any()


def test_a_title_has_the_same_features_whatever_else_is_in_the_pool(serving: Serving) -> None:
    state = random_state(6, 30)
    candidates = Candidates(*build_snapshot(titles=300).candidates["m0"])
    pool = blend(serving, Facts(state=state, candidates=candidates), REQUEST)
    whole = features(serving, state, REQUEST, pool.titles, pool.source_scores)
    some = np.array([5, 2, 40])
    assert np.array_equal(features(serving, state, REQUEST, pool.titles[some], pool.source_scores[:, some]), whole[some])
    assert np.array_equal(whole[:, : len(SOURCES)], pool.source_scores.T)
    assert whole.dtype == np.float32 and np.isfinite(whole).all()


def test_columns_are_made_once_a_snapshot_and_once_a_day(serving: Serving) -> None:
    columns = serving.once(TitleColumns)
    assert serving.once(TitleColumns) is columns
    assert columns.table("US", NOW_MS) is columns.table("US", NOW_MS // DAY_MS * DAY_MS)
    assert columns.table("US", NOW_MS) is not columns.table("US", NOW_MS + DAY_MS)
