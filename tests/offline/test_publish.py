"""Publishing: readers see the old snapshot or the new one, whatever step a publish dies at."""

import time
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from scipy import sparse

from offline import candidates, labels, popularity, publish, snapshot_bundle
from offline.jobs import Context, run
from offline.models import IALS, Blend
from offline.models.blend import part_of
from offline.publish import Publisher, rollback
from offline.training import jobs as training
from offline.training import model_store
from shared import codecs, keys, store, tables
from shared.config import Config
from shared.errors import SnapshotError
from shared.fold_in import FoldIn, History
from shared.snapshots import SnapshotStore
from tests.offline.pipeline import TITLES, add_candidates, add_ready_to_publish, add_titles, context, play_rows, plays

pytestmark = pytest.mark.slow

STEPS: tuple[Callable[[Publisher], None], ...] = (
    Publisher.start,
    Publisher.write,
    Publisher.verify,
    Publisher.complete,
    Publisher.flip,
    Publisher.retire,
)


@pytest.fixture
def ready(config: Config) -> Context:
    """A lake with a catalogue, popularity, neighbours and candidates of three members."""
    job_context = context(config)
    add_ready_to_publish(job_context.lake)
    return job_context


def served(job_context: Context, member_id: str = "m1") -> tuple[str, list[str]]:
    """The version that is served, and a member's candidates in it, as a reader finds them."""
    config = job_context.config
    client = store.connect(config.redis)
    snapshots = SnapshotStore(client, config.redis.namespace)
    version = snapshots.pointer(config.online.arm).current
    assert version is not None
    snapshot = snapshots.load(version)
    blob = client.get(keys.candidates(config.redis.namespace, member_id, version))
    assert isinstance(blob, bytes)
    titles, _ = codecs.decode_candidates(blob)
    return version, [snapshot.catalogue[index].title_id for index in titles]


def test_a_snapshot_holds_what_the_tables_say(ready: Context) -> None:
    outcome = run(publish.JOB, ready)
    version, candidates = served(ready)
    assert (version, candidates) == (outcome.details["version"], ["t03", "t01"])
    snapshot = SnapshotStore(store.connect(ready.config.redis), ready.config.redis.namespace).load(version)
    assert snapshot.catalogue[3].name == "Title 3" and snapshot.catalogue[3].genres == ("Drama",)
    told = [(title.maturity, title.tags, title.origin) for title in snapshot.catalogue.titles[:2]]
    assert told == [("PG", (), None), ("PG", ("Tense",), "DK")]
    assert [snapshot.catalogue[index].title_id for index in snapshot.popular("US")[:3]] == ["t00", "t01", "t02"]
    assert snapshot.arrays["similar_titles"][0].tolist() == [2, 4]
    assert FoldIn.of(snapshot.arrays, TITLES) is None
    assert np.allclose(snapshot.arrays["similar_scores"][0], [0.5, 0.25])
    assert snapshot.manifest.sources["gold/candidates"] == ready.lake.version(tables.CANDIDATES)
    assert run(publish.JOB, ready).status == "skipped"


def test_a_snapshot_folds_in_as_the_model_behind_its_candidates(ready: Context) -> None:
    lake = ready.lake
    played = [made for made in plays(400) if made.title_id != "t07"]  # a title of the catalogue that nobody played
    lake.overwrite(play_rows(lake, played), tables.PLAYS)
    lake.overwrite(lake.read(tables.TITLES).where("title_id != 't09'"), tables.TITLES)  # and one that has left it
    for job in (training.JOB, candidates.JOB, publish.JOB):
        run(job, ready)
    version, _ = served(ready)
    snapshot = SnapshotStore(store.connect(ready.config.redis), ready.config.redis.namespace).load(version)
    fold_in = FoldIn.of(snapshot.arrays, len(snapshot.catalogue))
    assert fold_in is not None
    with model_store.loaded(model_store.newest(lake, "blend")) as model:
        ials = part_of(model, IALS)
        assert isinstance(model, Blend) and ials is not None
        factors, names = snapshot.arrays["title_factors"], list(model.title_ids)
        assert "t07" not in names and "t09" in names
        for title_id in ("t00", "t08", "t39"):
            assert np.array_equal(factors[snapshot.catalogue.index[title_id]], ials.title_factors[names.index(title_id)])
        assert not factors[snapshot.catalogue.index["t07"]].any()
        history = {"t02": 1.0, "t04": 0.5}
        row = sparse.lil_array((1, len(names)), dtype=np.float32)
        row[0, [names.index(title_id) for title_id in history]] = list(history.values())
        expected = ials.fold_in(row.tocsr())
    indices = np.array([snapshot.catalogue.index[title_id] for title_id in history], np.int32)
    vectors = fold_in.vectors([History(indices, np.array(list(history.values()), np.float32))])
    assert np.allclose(vectors, expected, rtol=0.02, atol=0.02 * np.abs(expected).max())  # but for the title that has left

    sources = dict(snapshot.manifest.sources)
    add_candidates(ready.lake, ["t03"])  # of some other model
    sources[tables.CANDIDATES.name] = lake.version(tables.CANDIDATES)
    assert snapshot_bundle.factor_arrays(lake, sources, dict(snapshot.catalogue.index)) == {}


def test_a_publish_that_dies_leaves_one_whole_snapshot_and_is_cleared_by_the_next(ready: Context) -> None:
    settings = msgspec.structs.replace(ready.config.publish, keep=1, expire_s=1)
    config = msgspec.structs.replace(ready.config, publish=settings)
    careful = Context(config, ready.lake, ready.now_ms)
    run(publish.JOB, careful)
    old = served(careful)
    dead = []
    add_candidates(careful.lake, ["t10"])
    for steps in range(1, len(STEPS)):
        dying = Publisher(careful, config.online.arm)
        for step in STEPS[:steps]:
            step(dying)
        dead.append(dying.version)
        is_flipped = STEPS.index(Publisher.flip) < steps
        assert served(careful) == ((dying.version, ["t10"]) if is_flipped else old)
    time.sleep(1.1)  # a publish that began within expire_s counts as being at work
    for title in ("t20", "t21"):  # the last one that died is being served, so the first publish keeps it for rollback
        add_candidates(careful.lake, [title])
        run(publish.JOB, careful)
        assert served(careful)[1] == [title]
    client = store.connect(config.redis)
    for version in dead:
        left = keys.candidates(config.redis.namespace, "m1", version)
        assert client.pttl(left) > 0 or not client.exists(left)


def test_rollback_serves_the_version_before_and_nightly_does_not_undo_it(ready: Context) -> None:
    run(publish.JOB, ready)
    first = served(ready)
    add_candidates(ready.lake, ["t05"])
    run(publish.JOB, ready)
    assert served(ready)[1] == ["t05"]
    assert rollback(ready, ready.config.online.arm) == first[0]
    assert served(ready) == first
    assert run(publish.JOB, ready).status == "skipped"


def test_a_publish_at_work_is_not_cleared_by_another(ready: Context) -> None:
    at_work = Publisher(ready, "other")
    for step in STEPS[:4]:
        step(at_work)
    run(publish.JOB, ready)
    at_work.flip()
    key = keys.candidates(ready.config.redis.namespace, "m1", at_work.version)
    assert store.connect(ready.config.redis).ttl(key) == -1


def test_rollback_without_an_earlier_snapshot_says_so(ready: Context) -> None:
    run(publish.JOB, ready)
    with pytest.raises(SnapshotError, match="no earlier snapshot"):
        rollback(ready, ready.config.online.arm)


def test_verification_finds_a_candidate_list_that_is_gone_or_altered(ready: Context) -> None:
    client = store.connect(ready.config.redis)
    for harm in ("gone", "altered"):
        publisher = Publisher(ready, ready.config.online.arm)
        publisher.start()
        publisher.write()
        key = keys.candidates(ready.config.redis.namespace, "m2", publisher.version)
        if harm == "gone":
            client.delete(key)
        else:
            client.set(key, codecs.encode_candidates(np.array([1], np.int32), np.array([1], np.float32)))
        with pytest.raises(SnapshotError, match="were read back"):
            publisher.verify()


def test_older_versions_expire_and_the_previous_one_stays(ready: Context) -> None:
    versions = []
    for title in ("t01", "t02", "t03"):
        add_candidates(ready.lake, [title])
        versions.append(run(publish.JOB, ready).details["version"])
    client = store.connect(ready.config.redis)
    lives = [client.ttl(keys.candidates(ready.config.redis.namespace, "m0", version)) for version in versions]
    assert 0 < lives[0] <= ready.config.publish.expire_s
    assert lives[1:] == [-1, -1]


def test_popularity_ranks_the_whole_catalogue_overall_lately_and_by_country(config: Config) -> None:
    job_context = context(config)
    lake = job_context.lake
    add_titles(lake)
    day_ms = 24 * 3_600_000
    watched = [
        ("a", "t01", 0, "US"),
        ("b", "t01", 0, "US"),
        ("c", "t01", 0, "DE"),
        ("a", "t02", 30, "DE"),
        ("a", "t02", 30, "DE"),
    ]
    rows = [
        {
            "event_id": f"e{number}", "member_id": member, "title_id": title, "kind": "stop", "session_id": "s",
            "at_ms": 1_700_000_000_000 + days * day_ms, "position_s": 1.0, "runtime_s": 2.0, "watched_s": 1.0,
            "device": "tv", "country": country, "source": "import", "month": "m",
        }
        for number, (member, title, days, country) in enumerate(watched)
    ]  # fmt: skip
    lake.overwrite(labels.interactions(lake.rows(rows, tables.PLAYS)), tables.INTERACTIONS)
    run(popularity.JOB, job_context)
    best = {row["list"]: row["title_id"] for row in lake.read(tables.POPULARITY).where("rank = 1").collect()}
    assert best == {"popular": "t01", "trending": "t02", "popular/US": "t01", "popular/DE": "t01"}
    assert {row["count"] for row in lake.read(tables.POPULARITY).groupBy("list").count().collect()} == {TITLES}
