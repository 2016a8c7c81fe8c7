"""The ranker's job on the lake: examples of the snapshot that served, a ranker when there is enough, its way into a snapshot."""

import random
from dataclasses import fields

import msgspec
import numpy as np
import pytest

from offline import publish, ranker, ranker_log, ranker_store
from offline.jobs import Context, run
from offline.ranker_examples import ExampleMaker, Examples, MemberLog, Sampling, page_number
from shared import store, tables
from shared.config import Config
from shared.events import Cell, Impression, Play
from shared.pages.features import FEATURES
from shared.pages.ranker import Ranker
from shared.snapshots import Snapshot, SnapshotStore
from tests.offline.pipeline import START_MS, TITLES, add_candidates, add_ready_to_publish, context, play_rows, plays

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000
MEMBERS = 500
AFTER_MS = START_MS + 48 * HOUR_MS  # the pages come after all of `plays`
MANY = Sampling(seen=1000, other=1000)


@pytest.fixture
def ready(config: Config) -> Context:
    """A lake with a catalogue, popularity, neighbours, candidates of thirty members and their plays."""
    job_context = context(config)
    add_ready_to_publish(job_context.lake, members=30)
    return job_context


def page(number: int, member: int, snapshot: str, titles: list[str]) -> Impression:
    cells = [
        Cell(row="top-picks", row_index=0, rank=rank, title_id=title, tier="live", propensity=1.0)
        for rank, title in enumerate(titles)
    ]
    return Impression(
        schema=1, page_id=f"p{number}", member_id=f"m{member}", at_ms=AFTER_MS + number * 60_000, snapshot=snapshot, fence={},
        allocation={}, cells=cells, country="US", device="tv",
    )  # fmt: skip


def played(shown: Impression, title: str) -> Play:
    return Play(
        schema=1, event_id=f"{shown.page_id}-{title}", member_id=shown.member_id, title_id=title, kind="stop", session_id="s",
        at_ms=shown.at_ms + 1000, position_s=3000.0, runtime_s=5400.0, watched_s=3000.0, device="tv", country="US",
        page_id=shown.page_id, row="top-picks", rank=[cell.title_id for cell in shown.cells].index(title),
    )  # fmt: skip


def add(job_context: Context, pages: list[Impression], made: list[Play]) -> None:
    """Put pages and plays into the lake, with a play long after them all, by which they are settled."""
    lake = job_context.lake
    rows = [msgspec.to_builtins(shown) | {"month": "2023-11"} for shown in pages]
    lake.append(lake.rows(rows, tables.IMPRESSIONS), tables.IMPRESSIONS)
    last_ms = max(shown.at_ms for shown in pages) + 5 * HOUR_MS
    last = msgspec.structs.replace(plays(1, seed=9)[0], event_id=f"last-{last_ms}", at_ms=last_ms)
    lake.append(play_rows(lake, [*made, last]), tables.PLAYS)


def served(job_context: Context) -> Snapshot:
    redis = job_context.config.redis
    snapshots = SnapshotStore(store.connect(redis), redis.namespace)
    version = snapshots.pointer(job_context.config.online.arm).current
    assert version is not None
    return snapshots.load(version)


def test_examples_are_of_the_snapshot_that_served(ready: Context) -> None:
    lake, history = ready.lake, plays(200)
    run(publish.JOB, ready)
    snapshot = served(ready)
    add_candidates(ready.lake, ["t10"], members=30)  # of a later night
    titles = [f"t{number:02}" for number in range(12)]
    pages = [page(0, 1, snapshot.version, titles), page(1, 1, "elsewhere", titles), page(2, 2, snapshot.version, titles)]
    begun = {play.title_id for play in history if play.member_id == "m1"}  # these are for Continue Watching
    made = [*history, played(pages[0], next(title for title in titles if title not in begun))]
    add(ready, pages, made)
    log = ranker_log.page_log(lake, 100)
    found = ranker_log.read_examples(ranker_log.examples(lake, log, 10, MANY).toArrow().to_batches())
    notes = {row["version"]: row["at_ms"] for row in lake.read(tables.PUBLISHED).where("action = 'published'").collect()}
    replayed = msgspec.structs.replace(snapshot.manifest, created_at_ms=notes[snapshot.version])
    maker = ExampleMaker(Snapshot(replayed, snapshot.catalogue, snapshot.arrays), True, 10, MANY)
    for number in (0, 2):
        events = [(play.at_ms, play) for play in made if play.member_id == pages[number].member_id]
        expected = maker.examples(MemberLog([pages[number]], events, (["t03", "t01"], [2.0, 1.0])))
        of_page = found.at(found.pages == page_number(f"p{number}"))
        for field in fields(Examples):
            assert np.array_equal(getattr(of_page, field.name), getattr(expected, field.name)), field.name
        assert of_page.labels.sum() == (1 if number == 0 else 0)
    of_known = found.at(found.pages == page_number("p2")).features[:, FEATURES.index("source_precomputed")]
    of_unknown = found.at(found.pages == page_number("p1")).features[:, FEATURES.index("source_precomputed")]
    assert of_known.any() and len(of_unknown) and not of_unknown.any()  # without factors nothing is retrieved for it
    assert len(ranker_log.page_log(lake, 1).served) == 1
    lake.append(lake.rows([{"member_hash": "h", "erased_at_ms": 1, "ends": {}}], tables.ERASED), tables.ERASED)
    assert [one.version for one in ranker_log.page_log(lake, 100).served] == [""]


def test_a_ranker_is_trained_once_there_is_enough_and_published_when_it_is_better(ready: Context) -> None:
    lake, chance = ready.lake, random.Random(3)
    assert run(ranker.JOB, ready).details == {"ranker": "not trained: no page was logged yet"}
    run(publish.JOB, ready)
    assert Ranker.of(served(ready).arrays) is None
    add(ready, [few := page(0, 1, "", ["t00", "t01", "t02"])], [*plays(900, MEMBERS), played(few, "t02")])
    told = run(ranker.JOB, ready).details
    assert told == {"ranker": "not trained: 1 plays from logged pages, at least 300 are due", "pages": "1", "plays": "1"}

    pages, made = [], []
    for number in range(1, 500):
        shown = page(number, member := number % MEMBERS, "", [f"t{title:02}" for title in chance.sample(range(TITLES), 8)])
        liked = [cell.title_id for cell in shown.cells if int(cell.title_id[1:]) % 2 == member % 2]  # as `plays` has it
        made += [played(shown, title) for title in liked if chance.random() < 0.4]
        pages.append(shown)
    add(ready, pages, made)
    outcome = run(ranker.JOB, ready)
    assert outcome.details["ranker"] == "better than the blend" and outcome.details["pages"] == "500"
    [row] = lake.read(tables.RANKERS).collect()
    assert row["plays"] == int(outcome.details["plays"]) > 300 and row["pages"] == 500
    assert row["metrics"]["ranker_unbiased_gain"] > row["metrics"]["blend_unbiased_gain"]
    assert run(ranker.JOB, ready).status == "skipped"

    assert run(publish.JOB, ready).details["ranker"] == row["version"]
    trained = Ranker.of(served(ready).arrays)
    assert trained is not None
    rows = np.zeros((2, len(FEATURES)), np.float32)
    rows[:, FEATURES.index("genre_taste_long")] = [0.9, 0.0]
    liked_score, other_score = trained.scores(rows)
    assert liked_score > other_score
    assert run(publish.JOB, ready).status == "skipped"

    worse = row.asDict() | {"version": "w", "trained_at_ms": row["trained_at_ms"] + 1}
    worse["metrics"] = {"ranker_unbiased_gain": 0.4, "blend_unbiased_gain": 0.4}
    lake.append(lake.rows([worse], tables.RANKERS), tables.RANKERS)
    arrays, why = ranker_store.published_arrays(lake, lake.version(tables.RANKERS))
    assert (arrays, why) == ({}, "none: the newest orders no better than the blend")
    off = msgspec.structs.replace(ready.config, training=msgspec.structs.replace(ready.config.training, ranker=False))
    assert run(ranker.JOB, Context(off, lake, ready.now_ms)).details == {"ranker": "not trained: [training] ranker is off"}
