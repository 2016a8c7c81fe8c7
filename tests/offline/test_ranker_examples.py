"""Examples for the ranker: only what was known counts, labels are what plays came to, and sampled cells stand for all."""

from collections.abc import Sequence
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest

from offline.ranker_examples import ExampleMaker, Examples, MemberLog, Sampling, known_at_ms, page_number
from shared.events import Cell, Feedback, Impression, Play
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY
from shared.pages.blending import blend
from shared.pages.facts import Candidates, Facts
from shared.pages.features import DAY_MS, FEATURES, features
from shared.pages.request import Request
from shared.pages.serving import Serving
from shared.snapshots import Snapshot
from shared.state import EMPTY, fold
from tests.online.snapshot_builder import CREATED_AT_MS, NOW_MS, build_snapshot

RUNTIME_S = 5400.0
ROWS, RANKS = 3, 8
TITLES = [f"t{number}" for number in range(ROWS * RANKS)]
ALL = Sampling(seen=1000, other=1000)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    built = build_snapshot(titles=120)
    random = np.random.default_rng(3)
    built.arrays[FACTORS_ARRAY] = random.standard_normal((120, 6)).astype(np.float32)
    built.arrays[TERMS_ARRAY] = np.array([0.01, 0.05, 0.5, 0.6, 120.0])
    built.titles[:] = [replace(title, countries=()) for title in built.titles]
    return built.loaded()


def play(title: str, at_ms: int, share: float, **parts: object) -> Play:
    given: dict[str, object] = {
        "event_id": f"{title}-{at_ms}",
        "session_id": "s",
        "kind": "stop",
        "position_s": share * RUNTIME_S,
        "watched_s": share * RUNTIME_S,
    }
    return msgspec.convert(
        {
            "schema": 1, "member_id": "m1", "title_id": title, "at_ms": at_ms, "runtime_s": RUNTIME_S, "device": "tv",
            "country": "US", **given, **parts,
        },
        Play,
    )  # fmt: skip


def thumb(title: str, at_ms: int, kind: str = "thumbs_up") -> Feedback:
    return msgspec.convert(
        {"schema": 1, "event_id": f"{title}-{at_ms}", "member_id": "m1", "title_id": title, "kind": kind, "at_ms": at_ms},
        Feedback,
    )


def page(page_id: str = "p1", at_ms: int = NOW_MS, titles: Sequence[str] = TITLES, propensity: float = 0.5) -> Impression:
    cells = [
        Cell(row=f"row{at // RANKS}", row_index=at // RANKS, rank=at % RANKS, title_id=title, tier="live", propensity=propensity)
        for at, title in enumerate(titles)
    ]
    return Impression(
        schema=1, page_id=page_id, member_id="m1", at_ms=at_ms, snapshot="v1", fence={}, allocation={}, cells=cells, country="US",
        device="tv",
    )  # fmt: skip


def made(snapshot: Snapshot, events: Sequence[Play | Feedback], *pages: Impression, sampling: Sampling = ALL) -> Examples:
    maker = ExampleMaker(snapshot, is_known=False, depth=40, sampling=sampling)
    known = [(event.at_ms, event) for event in events]
    return maker.examples(MemberLog(pages or (page(),), known))


def labels(examples: Examples, titles: Sequence[str] = TITLES) -> dict[str, float]:
    """Label by title, of one page all of whose cells are open and kept."""
    assert len(examples.labels) == len(titles)
    return dict(zip(titles, examples.labels.tolist(), strict=True))


PAST = [play("t40", NOW_MS - 2 * DAY_MS, 0.8), play("t41", NOW_MS - 3_600_000, 0.6), thumb("t42", NOW_MS - 7_200_000)]


def test_features_are_those_that_were_served(snapshot: Snapshot) -> None:
    serving = Serving(snapshot)
    candidates = Candidates(np.array([3, 9, 50], np.int32), np.array([3.0, 2.0, 1.0], np.float32))
    log = MemberLog([page()], [(event.at_ms, event) for event in PAST], ([serving.ids[at] for at in (3, 9, 50)], [3.0, 2.0, 1.0]))
    found = ExampleMaker(snapshot, is_known=True, depth=40, sampling=ALL).examples(log)
    state = fold(EMPTY, PAST)
    maker = ExampleMaker(snapshot, is_known=True, depth=40, sampling=ALL)
    request = Request("m1", "tv", "US", NOW_MS)
    pool = blend(serving, Facts(state=state, candidates=candidates, fresh=maker._retrieved(state)), request, depth=serving.count)
    cells = [at for at, title in enumerate(TITLES) if pool.places[serving.index[title]]]
    titles = np.array([serving.index[TITLES[at]] for at in cells], np.int32)
    places = pool.places[titles] - 1
    positions = np.array([(at // RANKS, at % RANKS) for at in cells])
    expected = features(serving, state, request, titles, pool.source_scores[:, places], positions)
    assert np.array_equal(found.features, expected)
    assert np.array_equal(found.blend, pool.scores[places])
    for source in ("precomputed", "fresh", "similar", "popular"):
        assert expected[:, FEATURES.index(f"source_{source}")].any(), source
    assert set(found.propensities.tolist()) == {0.5} and set(found.pages.tolist()) == {page_number("p1")}


def test_nothing_after_the_page_is_in_its_features(snapshot: Snapshot) -> None:
    before = made(snapshot, PAST)
    later = [play("t43", NOW_MS + 1, 0.9), thumb("t5", NOW_MS, "thumbs_down"), play("t3", NOW_MS + 50, 0.5, page_id="p1")]
    after = made(snapshot, [*PAST, *later])
    for field in fields(Examples):
        if field.name != "labels":
            assert np.array_equal(getattr(before, field.name), getattr(after, field.name)), field.name
    assert after.labels.sum() > before.labels.sum() == 0
    for number, event in enumerate(PAST):  # moving any of them behind the page takes it out, which shows
        moved = [*PAST[:number], msgspec.structs.replace(event, at_ms=NOW_MS), *PAST[number + 1 :]]
        without = made(snapshot, [*PAST[:number], *PAST[number + 1 :]])
        assert np.array_equal(made(snapshot, moved).features, without.features)
        assert not np.array_equal(without.features, before.features)


def test_what_arrived_after_the_page_was_not_known(snapshot: Snapshot) -> None:
    assert (known_at_ms(5, None), known_at_ms(5, 3), known_at_ms(5, 9)) == (5, 5, 9)
    maker = ExampleMaker(snapshot, is_known=False, depth=40, sampling=ALL)
    late = [(known_at_ms(event.at_ms, NOW_MS if number == 1 else event.at_ms), event) for number, event in enumerate(PAST)]
    assert np.array_equal(maker.examples(MemberLog([page()], late)).features, made(snapshot, [PAST[0], PAST[2]]).features)


def test_a_later_page_knows_more(snapshot: Snapshot) -> None:
    second = page("p2", NOW_MS + 10_000)
    between = play("t44", NOW_MS + 5000, 0.7)
    both = made(snapshot, [*PAST, between], second, page())
    alone = made(snapshot, [*PAST, between], second)
    first = made(snapshot, PAST)
    count = len(first.labels)
    assert np.array_equal(both.features[:count], first.features) and np.array_equal(both.features[count:], alone.features)
    assert not np.array_equal(alone.features[:, : len(FEATURES) - 2], first.features[:, : len(FEATURES) - 2])


def test_candidates_are_those_of_the_snapshot_or_of_the_night_before(snapshot: Snapshot) -> None:
    column = FEATURES.index("source_precomputed")
    night_ms = NOW_MS // DAY_MS * DAY_MS
    early, late = play("t40", night_ms - 1000, 0.9), play("t41", night_ms + 1000, 0.9)
    of_night = made(snapshot, [early, late])
    assert np.array_equal(of_night.features[:, column], made(snapshot, [early]).features[:, column])
    assert of_night.features[:, column].any() and not made(snapshot, [late]).features[:, column].any()
    maker = ExampleMaker(snapshot, is_known=True, depth=40, sampling=ALL)
    listed = maker.examples(MemberLog([page()], [], (["t2", "gone", "t5"], [2.0, 1.5, 1.0]))).features[:, column]
    assert np.flatnonzero(listed).tolist() == [at for at, title in enumerate(TITLES) if title in ("t2", "t5")]
    assert not maker.examples(MemberLog([page()], [])).features[:, column].any()


def test_labels_are_what_plays_came_to(snapshot: Snapshot) -> None:
    here = {"page_id": "p1"}
    events = [
        play("t1", NOW_MS + 10, 0.3, **here),
        play("t2", NOW_MS + 20, 0.02, **here),  # a glance
        play("t3", NOW_MS + 30, 0.03, watched_s=0.0, event_id="a", **here),  # reports of one play
        play("t3", NOW_MS + 40, 0.4, watched_s=0.0, event_id="b", **here),
        play("t4", NOW_MS + 50, 0.5, page_id="another"),
        play("t6", NOW_MS + 70, 0.97, watched_s=1.0, **here),  # to its end
        play("t7", NOW_MS + 80, 0.6, **here),
        thumb("t7", NOW_MS + 90, "thumbs_down"),  # played, and not liked
        thumb("t8", NOW_MS + 100),
        thumb("t9", NOW_MS + DAY_MS),  # too long after
        thumb("t9", NOW_MS - 5),
    ]
    found = labels(made(snapshot, events))
    assert {title for title, label in found.items() if label} == {"t1", "t3", "t6", "t8"}


def test_a_thumb_judges_the_last_page_that_showed_the_title(snapshot: Snapshot) -> None:
    found = made(snapshot, [thumb("t8", NOW_MS + 20_000)], page(), page("p2", NOW_MS + 10_000))
    by_page = {number: found.labels[found.pages == number].sum() for number in np.unique(found.pages)}
    assert by_page == {page_number("p1"): 0, page_number("p2"): 1}


def test_a_title_shown_twice_counts_where_it_was_played(snapshot: Snapshot) -> None:
    titles = ["t1", "t2", *TITLES[2:9], "t1", "t2"]
    shown = page(titles=titles)
    found = made(snapshot, [play("t1", NOW_MS + 10, 0.5, page_id="p1", row="row1", rank=1)], shown)
    assert len(found.labels) == len(set(titles))
    positions = np.expm1(found.features[:, -2:]).round().astype(int).tolist()
    assert positions[int(found.labels.argmax())] == [1, 1]
    assert [0, 1] in positions and [1, 2] not in positions  # t2 was not played: where it stood first


def test_titles_that_would_not_be_ranked_are_no_examples(snapshot: Snapshot) -> None:
    finished, disliked = play("t1", NOW_MS - 1000, 0.95), thumb("t2", NOW_MS - 1000, "thumbs_down")
    begun = play("t4", NOW_MS - 1000, 0.5)  # left to Continue Watching
    found = made(snapshot, [finished, disliked, begun], page(titles=["t1", "t2", "t3", "t4", "nowhere"]))
    assert len(found.labels) == 1
    assert len(made(snapshot, [finished], page(titles=["t1"])).labels) == 0
    assert len(made(snapshot, [], page(titles=[])).labels) == 0


def test_sampled_cells_stand_for_all(snapshot: Snapshot) -> None:
    events = [play("t10", NOW_MS + 10, 0.5, page_id="p1")]  # row 1, rank 2: five others were above or to the left
    found = made(snapshot, events, sampling=Sampling(seen=3, other=4, seed=1))
    assert (len(found.labels), found.weights.sum()) == (8, len(TITLES))
    assert found.weights[found.labels == 1].tolist() == [1.0]
    rows, ranks = np.expm1(found.features[:, -2:]).round().astype(int).T
    is_seen = (rows <= 1) & (ranks <= 2) & (found.labels == 0)
    assert found.weights[is_seen] == pytest.approx([5 / 3] * 3)
    assert found.weights[~is_seen & (found.labels == 0)] == pytest.approx([18 / 4] * 4)
    again = made(snapshot, events, sampling=Sampling(seen=3, other=4, seed=1))
    other = made(snapshot, events, sampling=Sampling(seen=3, other=4, seed=2))
    assert np.array_equal(again.features, found.features) and not np.array_equal(other.features, found.features)


def test_examples_are_split_by_the_time_of_their_pages(snapshot: Snapshot) -> None:
    pages = [page(f"p{number}", NOW_MS + 1000 * number, TITLES[:2]) for number in range(10)]
    oldest, middle, newest = made(snapshot, [], *pages).split_by_time(0.3, 0.2)
    assert [len(part.labels) for part in (oldest, middle, newest)] == [10, 6, 4]
    assert oldest.at_ms.max() < middle.at_ms.min() <= middle.at_ms.max() < newest.at_ms.min()
    assert newest.at_ms.max() == NOW_MS + 9000 and CREATED_AT_MS < NOW_MS
