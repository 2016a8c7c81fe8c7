"""Replay equals a plain fold of the log, byte for byte, and installing it never takes anything away."""

import random

import pytest
from pyspark.sql import functions as F

from offline import ingest, replay
from offline.jobs import run
from offline.partial_states import Limits
from offline.replay import Log
from shared import fence, keys, state, store, tables
from shared.config import Config
from shared.events import Feedback, Play
from shared.state import EMPTY
from shared.store import StateStore
from tests.offline.pipeline import START_MS, context, plays, produce, records

pytestmark = pytest.mark.slow


def oracle(log: list[Play | Feedback]) -> dict[str, bytes]:
    """Every member's state by the plainest fold there is."""
    by_member: dict[str, list[Play | Feedback]] = {}
    for event in log:
        by_member.setdefault(event.member_id, []).append(event)
    return {member_id: state.encode(state.fold(EMPTY, mine)) for member_id, mine in by_member.items()}


def test_states_are_those_of_a_plain_fold_in_the_lake_and_in_redis(config: Config) -> None:
    made = plays(300)
    thumbs = [
        Feedback(schema=1, event_id=f"f{n}", member_id=f"m{n}", title_id="t01", kind="thumbs_down", at_ms=START_MS)
        for n in range(10)
    ]
    shuffled = made + made[:40]
    random.Random(5).shuffle(shuffled)
    produce(config, config.kafka.plays_topic, [*records(shuffled), (b"m1", b"broken")])
    produce(config, config.kafka.feedback_topic, records(thumbs))
    job_context = context(config)
    # Imported history counts as part of the log.
    imported = plays(50, seed=9)
    rows = [
        {name: getattr(play, name) for name in play.__struct_fields__ if name != "schema"} | {"source": "import", "month": "x"}
        for play in imported
    ]
    job_context.lake.insert_new(job_context.lake.rows(rows, tables.PLAYS), tables.PLAYS)
    run(ingest.JOB, job_context)
    outcome = run(replay.JOB, job_context)

    expected = oracle([*made, *thumbs, *imported])
    rows_there = job_context.lake.read(tables.STATES).collect()
    assert {row["member_id"]: bytes(row["state"]) for row in rows_there} == expected
    # Nor does it matter into how many files the log came, and how little of it a task can hold.
    whole = replay.log(job_context.lake, config)
    in_pieces = replay.states(Log(whole.records.repartition(5), whole.imported.repartition(2)), config, Limits(1, 1)).collect()
    assert sorted(in_pieces) == sorted(rows_there)
    assert outcome.details["installed"] == str(len(expected))
    members = sorted(expected)
    stored = StateStore(store.connect(config.redis), config.redis.namespace).read(members)
    assert {member: there.state for member, there in zip(members, stored, strict=True)} == expected
    assert fence.decode(stored[0].fence)[config.kafka.plays_topic].epoch == 1

    assert run(replay.JOB, job_context).status == "skipped"


def test_installing_keeps_what_is_newer_in_redis_and_heals_what_was_lost(config: Config) -> None:
    made = plays(100, members=5)
    produce(config, config.kafka.plays_topic, records(made))
    job_context = context(config)
    run(ingest.JOB, job_context)
    client = store.connect(config.redis)
    states = StateStore(client, config.redis.namespace)
    newer = Play(
        schema=1, event_id="live", member_id="m1", title_id="t99", kind="stop", session_id="s", at_ms=START_MS + 10**9,
        position_s=60.0, runtime_s=100.0, watched_s=1.0, device="tv", country="US",
    )  # fmt: skip
    mine = [play for play in made if play.member_id == "m1"]
    live = state.encode(state.fold(EMPTY, [*mine[:3], newer]))
    ahead = fence.encode({config.kafka.plays_topic: fence.Position(1, 0, 10**6)})
    states.install([("m1", live, ahead)])

    run(replay.JOB, job_context)
    [there] = states.read(["m1"])
    assert there.state == state.encode(state.fold(EMPTY, [*mine, newer]))
    assert fence.decode(there.fence)[config.kafka.plays_topic] == fence.Position(1, 0, 10**6)

    client.delete(*client.keys(f"{config.redis.namespace}:*"))
    assert run(replay.JOB, job_context).status == "done"  # Redis was emptied, so nothing is skipped
    [there] = states.read(["m1"])
    assert there.state == state.encode(state.fold(EMPTY, mine))
    assert client.get(keys.installed(config.redis.namespace)) is not None


def test_no_event_at_all_is_an_empty_table(config: Config) -> None:
    job_context = context(config)
    assert run(replay.JOB, job_context).details == {"members": "0", "installed": "0"}
    assert job_context.lake.read(tables.STATES).where(F.col("member_id").isNotNull()).count() == 0
