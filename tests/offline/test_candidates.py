"""The jobs that train and rank, on a lake: records of runs, sources' scores, new titles, going on after a failure."""

import dataclasses
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from offline import candidates, labels
from offline.jobs import Context, run
from offline.models import Blend, Pass
from offline.training import jobs as training
from offline.training import model_store, unfinished
from offline.training.configured import configured_model
from offline.training.fitting import subject
from offline.training.rows import from_batches
from offline.training.unfinished import LakeCheckpoint
from shared import tables
from shared.config import Config
from tests.offline.pipeline import add_titles, context, play_rows, plays

pytestmark = pytest.mark.slow

_EARLIER = {
    tables.MODELS: "name STRING, version STRING, folder STRING, trained_at_ms LONG, interactions_version LONG, members LONG, "
    "titles LONG, settings STRING, seconds DOUBLE",
    tables.CANDIDATES: "member_id STRING, titles ARRAY<STRING>, scores ARRAY<FLOAT>",
}
"""The columns that some tables had in an earlier version."""


@pytest.fixture
def ready(config: Config) -> Context:
    """A lake with plays and a catalogue, made by an earlier version; two titles of the catalogue are new."""
    job_context = context(config)
    lake = job_context.lake
    add_titles(lake)
    new = [{"title_id": f"new-{genre}", "name": genre, "genres": [genre]} for genre in ("Comedy", "Drama")]
    lake.append(lake.rows(new, tables.TITLES), tables.TITLES)
    lake.append(play_rows(lake, plays(600)), tables.PLAYS)
    for table, columns in _EARLIER.items():
        shutil.rmtree(Path(config.lake.root) / table.name)
        lake.spark.sql(f"CREATE TABLE delta.`{lake.path(table)}` ({columns}) USING delta")
    settings = {"blend": {"sources": "ials,popularity"}}
    chosen = msgspec.structs.replace(job_context.config.training, new_title_share=0.1, settings=settings)
    return dataclasses.replace(job_context, config=msgspec.structs.replace(job_context.config, training=chosen))


class Interrupted(Exception):
    pass


def leave_unfinished(job_context: Context, passes: int) -> None:
    """What a training task leaves in the lake that dies after so many passes."""
    lake = job_context.lake
    model = configured_model(job_context.config.training)
    interactions = from_batches(labels.interactions(lake.read(tables.PLAYS)).toArrow().to_batches())
    about = subject(model, f"{tables.PLAYS.name} {lake.version(tables.PLAYS)}")

    def interrupt(done: Pass) -> None:
        if done.number == passes:
            raise Interrupted

    kept = LakeCheckpoint(lake.url(f"{unfinished.FOLDER}/{model.name}"), model.name, about, every_s=0.0)
    with pytest.raises(Interrupted), kept:
        model.fit(interactions, interrupt, kept)


def test_what_is_too_much_for_one_node_is_trained_over_the_cluster(ready: Context) -> None:
    lake = ready.lake
    chosen = msgspec.structs.replace(ready.config.training, spread_entries=100, settings={})
    wide = dataclasses.replace(ready, config=msgspec.structs.replace(ready.config, training=chosen))
    run(training.JOB, wide)
    [row] = lake.read(tables.MODELS).collect()
    assert row["name"] == "blend" and row["device"].startswith("Spark") and row["resumed_from"] is None
    assert (row["members"], row["titles"]) == (30, 40)
    with model_store.loaded(lake.url(row["folder"])) as model:
        assert isinstance(model, Blend) and list(model.sources) == ["ials"]
        top = model.recommend(np.arange(30), 5).titles
    tastes = [int(member[1:]) % 2 for member in model.member_ids]
    assert all(int(model.title_ids[title][1:]) % 2 == taste for title, taste in zip(top[:, 0], tastes, strict=True))


def test_a_failed_run_goes_on_and_candidates_tell_their_sources_and_have_new_titles(ready: Context) -> None:
    lake = ready.lake
    leave_unfinished(ready, 3)
    run(training.JOB, ready)
    [row] = lake.read(tables.MODELS).collect()
    assert (row["name"], row["resumed_from"], row["members"], row["titles"]) == ("blend", 3, 30, 40)
    assert row["cpu_seconds"] > 0 and row["peak_memory_mb"] > 10 and row["device"] and row["versions"]["torch"]
    assert 0 <= row["metrics"]["ndcg@20 of ials"] <= row["metrics"]["ndcg@20 of blend"] <= 1
    assert run(training.JOB, ready).status == "skipped"

    run(candidates.JOB, ready)
    played: dict[str, set[str]] = {}
    for entry in lake.read(tables.INTERACTIONS).collect():
        played.setdefault(entry["member_id"], set()).add(entry["title_id"])
    listed = lake.read(tables.CANDIDATES).collect()
    assert {member["member_id"] for member in listed} == set(played)
    for member in listed:
        titles, scores, sources = member["titles"], member["scores"], member["source_scores"]
        assert len(titles) == len(set(titles)) == 10 and not played[member["member_id"]] & set(titles)
        assert scores == sorted(scores, reverse=True)
        assert set(sources) == {"ials", "popularity", "content"} and all(len(one) == 10 for one in sources.values())
        taste = "Comedy" if int(member["member_id"][1:]) % 2 == 0 else "Drama"
        assert [title for title in titles if title.startswith("new-")] == [f"new-{taste}"]
        for title, *said in zip(titles, *(sources[name] for name in ("ials", "popularity", "content")), strict=True):
            is_new = title.startswith("new-")
            assert (said[2] is not None) == is_new and (said[0] is None or not is_new)
