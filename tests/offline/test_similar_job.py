"""The job that finds similar titles, on a lake with a trained model."""

import msgspec
import numpy as np
import pytest

from offline import similar
from offline.models import IALS, IALSSettings
from offline.training import model_store
from shared import tables
from shared.config import Config
from tests.builders import checkerboard
from tests.offline.pipeline import context

pytestmark = pytest.mark.slow


def test_neighbours_come_with_how_many_watched_both(config: Config) -> None:
    training = msgspec.structs.replace(config.training, model="ials", similar=5)
    job_context = context(msgspec.structs.replace(config, training=training))
    lake, world = job_context.lake, checkerboard(20)
    members, titles = world.entry_members, world.matrix.indices
    played = [
        {"member_id": world.member_ids[member], "title_id": world.title_ids[title], "weight": 1.0, "at_ms": 0}
        for member, title in zip(members, titles, strict=True)
    ]
    lake.overwrite(lake.rows(played, tables.INTERACTIONS), tables.INTERACTIONS)
    model_store.save(IALS(IALSSettings(factors=4)).fit(world), lake.url("models/ials/one"))
    trained = {"name": "ials", "version": "one", "folder": "models/ials/one", "trained_at_ms": 1}
    lake.append(lake.rows([trained], tables.MODELS), tables.MODELS)

    assert similar.work(job_context) == {"titles": "20"}
    rows = lake.read(tables.SIMILAR).orderBy("title_id").collect()
    near = np.array([[int(name[1:]) for name in row["similar"]] for row in rows])
    assert near.shape == (20, 5)
    assert (near % 2 == np.arange(20)[:, None] % 2).all()
    assert all(row["together"] == [8] * 5 for row in rows)  # of the ten members of a colour, all but two
    assert all(len(row["scores"]) == 5 for row in rows)
