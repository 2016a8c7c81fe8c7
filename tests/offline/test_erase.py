"""A member is erased from the lake and from what follows; others keep all they have. Files and logs are looked into."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from offline import erase, ingest, replay
from offline.erased import without_erased_history
from offline.jobs import run
from offline.models import IALS, Blend, BlendSettings, Model, Popularity, load_model, storage
from offline.training import model_store
from shared import erasure, events, tables
from shared.config import Config
from shared.errors import InputError
from shared.events import Feedback
from shared.lake import Lake
from tests.builders import random_interactions
from tests.offline.pipeline import START_MS, context, plays, produce, records

GONE, ALIKE = "m1", "m11"


@pytest.mark.parametrize("made", [IALS(), Popularity(), Blend(BlendSettings(sources="ials+ease"))], ids=lambda made: made.name)
def test_a_model_without_a_member_is_the_same_for_the_others(made: Model[Any], tmp_path: Path) -> None:
    model = made.fit(random_interactions())
    model.save(tmp_path)
    gone = str(model.member_ids[7])
    assert storage.remove_member(tmp_path, gone)
    assert not storage.remove_member(tmp_path, gone)
    again = load_model(tmp_path)
    assert gone not in again.member_ids.tolist() and len(again.member_ids) == len(model.member_ids) - 1
    assert gone.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    before = model.recommend(np.delete(np.arange(len(model.member_ids)), 7), 5)
    after = again.recommend(np.arange(len(again.member_ids)), 5)
    np.testing.assert_array_equal(before.titles, after.titles)
    np.testing.assert_array_equal(before.scores, after.scores)


@pytest.mark.parametrize("wrong", ["", "m" * 257])
def test_no_id_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match="1 to 256 characters"):
        erase.job(wrong)


@pytest.mark.slow
def test_nothing_of_the_member_is_left_and_nothing_comes_back(config: Config) -> None:
    made = plays(200, members=14)
    thumbs = [thumb(member, 1) for member in (GONE, ALIKE, "m3")]
    bad = [(b"m1", b'{"member_id": "m1", "kind'), (b"m3", events.encode(thumbs[0])), (b"m3", b'{"member_id":"m11"}')]
    produce(config, config.kafka.plays_topic, [*records(made), *bad])
    produce(config, config.kafka.feedback_topic, records(thumbs))
    job_context = context(config)
    lake = job_context.lake
    run(ingest.JOB, job_context)
    add_derived(lake, [GONE, ALIKE, "m3"])
    assert_found(Path(config.lake.root))

    outcome = run(erase.job(GONE), job_context)

    assert outcome.details["left"] == "0"
    assert int(outcome.details["removed"]) > 10
    assert list(mentions(Path(config.lake.root))) == []
    expected = {play.event_id for play in made if play.member_id != GONE}
    assert {row["event_id"] for row in lake.read(tables.PLAYS).select("event_id").collect()} == expected
    assert [row["member_id"] for row in lake.read(tables.CANDIDATES).orderBy("member_id").collect()] == [ALIKE, "m3"]
    with model_store.loaded(model_store.newest(lake, "ials")) as model:
        assert model.member_ids.tolist() == [ALIKE, "m3"]

    # All of Kafka's log once more, and then the member comes back.
    shutil.rmtree(Path(config.lake.root) / "checkpoints")
    again = [thumb(GONE, 2), thumb("m3", 2)]
    produce(config, config.kafka.feedback_topic, records(again))
    run(ingest.JOB, job_context)
    assert {row["event_id"] for row in lake.read(tables.PLAYS).select("event_id").collect()} == expected
    assert [row["event_id"] for row in lake.read(tables.FEEDBACK).where(F.col("member_id") == GONE).collect()] == ["f-m1-2"]
    left = lake.read(tables.QUARANTINE).collect()
    assert [bytes(row["value"]) for row in left] == [b'{"member_id":"m11"}']

    [row] = lake.read(tables.ERASED).collect()
    assert row["member_hash"] == erasure.member_hash(GONE)
    place = {"topic": config.kafka.plays_topic, "epoch": 1, "key": b"m1", "value": b"{}"}
    rows = [{**place, "partition": number % 4, "offset": number // 4 * 10**6} for number in range(8)]
    lake.append(lake.rows(rows, tables.BRONZE), tables.BRONZE)  # as from a backup
    log = replay.log(lake, config).records.where(F.col("key") == bytearray(b"m1")).collect()
    assert [entry["offset"] for entry in log] == [10**6] * 4
    rows = [{"member_id": member, "at_ms": at_ms} for member in (GONE, "m3") for at_ms in (START_MS, row["erased_at_ms"] + 1)]
    history = without_erased_history(lake, lake.rows(rows, tables.INTERACTIONS)).collect()
    kept = {(entry["member_id"], entry["at_ms"]) for entry in history}
    assert kept == {(GONE, row["erased_at_ms"] + 1), ("m3", START_MS), ("m3", row["erased_at_ms"] + 1)}


def thumb(member: str, number: int) -> Feedback:
    return Feedback(
        schema=1, event_id=f"f-{member}-{number}", member_id=member, title_id=f"t0{number}", kind="thumbs_up", at_ms=START_MS
    )


def add_derived(lake: Lake, members: list[str]) -> None:
    """Candidates, twice, so that there is an older version; and a model. Other tables by member are erased alike."""
    for title in ("t01", "t02"):
        rows = [{"member_id": member, "titles": [title], "scores": [1.0]} for member in members]
        lake.overwrite(lake.rows(rows, tables.CANDIDATES), tables.CANDIDATES)
    world = random_interactions(members=len(members), titles=6)
    world.member_ids[:] = members
    model_store.save(IALS().fit(world), lake.url("models/ials/run-1"))
    model = {"name": "ials", "version": "1", "folder": "models/ials/run-1", "trained_at_ms": START_MS, "members": len(members)}
    lake.append(lake.rows([model], tables.MODELS), tables.MODELS)


def mentions(root: Path) -> Iterator[str]:
    """Every file below the lake that has the member: in a value of its own, in a value that quotes it, or in statistics."""
    for file in root.rglob("*"):
        if file.suffix == ".parquet":
            if any(_has(row) for row in pq.read_table(file, partitioning=None).to_pylist()):
                yield str(file)
        elif file.suffix in (".json", ".safetensors") and file.is_file():
            content = file.read_bytes()
            if b'"m1' + b'"' in content or b'\\"m1\\"' in content or (file.suffix == ".safetensors" and b"m1m11m3" in content):
                yield str(file)


def _has(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has(one) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_has(one) for one in value)
    if isinstance(value, bytes):
        return value == GONE.encode() or f'"{GONE}"'.encode() in value
    return isinstance(value, str) and (value == GONE or f'"{GONE}"' in value)


def assert_found(root: Path) -> None:
    """The tables name the member, and so does the model, but no table's log: the search can fail."""
    found = " ".join(mentions(root))
    for table in (tables.BRONZE, tables.PLAYS, tables.FEEDBACK, tables.QUARANTINE, tables.CANDIDATES):
        assert f"/{table.name}/" in found
    assert ".safetensors" in found
    assert "_delta_log" not in found
