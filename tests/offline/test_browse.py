"""The browse model from the lake: the same showings as from the events themselves, and what a snapshot gets of them."""

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from infra.demo.impressions import impressions
from infra.demo.world import World
from offline import browse, publish
from offline.evaluation.pages import impressions as from_events
from offline.evaluation.pages.browse_fit import LEAST_PLAYS, Showings, fit
from offline.jobs import Context, run
from shared import store, tables
from shared.config import Config
from shared.events import Play
from shared.pages.attention import ARRAY, BrowseModel
from shared.pages.devices import Devices
from shared.snapshots import Snapshot, SnapshotStore
from tests.offline.pipeline import TITLES, add_titles, context, play_rows

pytestmark = pytest.mark.slow

PAGES = 1500


@pytest.fixture
def job_context(config: Config) -> Context:
    return context(config)


def compared(showings: Showings) -> list[list[tuple[int, ...]]]:
    """The showings of each pair, whatever numbers pairs have and whatever order they come in."""
    columns = (showings.rows, showings.ranks, showings.visible_rows, showings.visible_cells, showings.is_played)
    together: dict[int, list[tuple[int, ...]]] = {}
    for pair, *others in zip(showings.pairs.tolist(), *(column.astype(int).tolist() for column in columns), strict=True):
        together.setdefault(pair, []).append(tuple(others))
    return sorted(sorted(each) for each in together.values())


def test_what_a_snapshot_gets_is_fitted_to_the_newest_pages(job_context: Context) -> None:
    lake, config = job_context.lake, job_context.config
    devices = Devices(config.page, config.online)
    assert browse.published_arrays(lake, config) == ({}, "default: no page was logged yet")
    world = World.generate(members=100, titles=120, plays=PAGES, seed=5)
    shown = list(impressions(world, np.arange(len(world.impressions))))
    rows = [msgspec.to_builtins(page) | {"month": "2026-01"} for page in shown]
    lake.append(lake.rows(rows, tables.IMPRESSIONS), tables.IMPRESSIONS)
    found = browse.published_arrays(lake, config)
    assert found[0] == {}
    assert found[1].startswith("default: 0 plays")
    table = world.plays_table()
    plays = [Play(schema=1, **row) for row in table.drop_columns("weight").to_pylist()]
    lake.append(play_rows(lake, plays), tables.PLAYS)
    newest = sorted(shown, key=lambda page: (-page.at_ms, page.page_id))[:400]
    of_lake = browse.showings(lake, 400, devices)
    from_newest = pc.is_in(table["page_id"], pa.array([page.page_id for page in newest]))
    expected = from_events.showings(newest, table.filter(from_newest), devices)
    assert compared(of_lake) == compared(expected)
    assert len(set(of_lake.visible_cells.tolist())) > 1  # several devices
    arrays, told = browse.published_arrays(lake, config)
    fitted = fit(from_events.showings(shown, table, devices))
    assert fitted.plays >= LEAST_PLAYS
    assert told == f"fitted to {fitted.plays} plays"
    assert BrowseModel.from_arrays(arrays, "v").to_array() == pytest.approx(fitted.model.to_array(), abs=1e-3)
    assert not np.allclose(arrays[ARRAY], BrowseModel().to_array())
    served = publish_with(job_context)
    assert BrowseModel.from_arrays(served.arrays, served.version).to_array() == pytest.approx(arrays[ARRAY], abs=1e-3)


def publish_with(job_context: Context) -> Snapshot:
    """A snapshot of this log, and of the least that there has to be besides."""
    lake, config = job_context.lake, job_context.config
    add_titles(lake)
    lists = [
        {"list": name, "rank": number + 1, "title_id": f"t{number:02}", "score": 1.0}
        for name in ("popular", "trending")
        for number in range(TITLES)
    ]
    lake.overwrite(lake.rows(lists, tables.POPULARITY), tables.POPULARITY)
    candidates = [{"member_id": "m1", "titles": ["t01"], "scores": [1.0]}]
    lake.overwrite(lake.rows(candidates, tables.CANDIDATES), tables.CANDIDATES)
    run(publish.JOB, job_context)
    snapshots = SnapshotStore(store.connect(config.redis), config.redis.namespace)
    version = snapshots.pointer(config.online.arm).current
    assert version is not None
    return snapshots.load(version)
