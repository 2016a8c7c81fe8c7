"""One reducer, two engines: Spark's replay of the whole log is what the worker wrote, byte for byte."""

import random
from pathlib import Path

import pytest

from infra.local.worker import NearlineWorker, wait_caught_up
from offline import ingest, replay
from offline.jobs import run
from shared import fence, store, tables
from shared.config import Config
from shared.store import StateStore
from tests.nearline.event_log import EventLog
from tests.offline.pipeline import context
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow

LIMIT_S = 90.0


def test_replay_of_the_log_equals_what_the_worker_wrote(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(2000, members=60, seed=11)
    log.records.insert(700, (config.kafka.plays_topic, b"m1", b"not JSON"))
    twice = random.Random(3).sample(log.records, 200)
    log.records += twice
    log.send()
    with NearlineWorker(settings(config, tmp_path)):
        wait_caught_up(config, LIMIT_S)
    members = sorted(log.oracle())
    states = StateStore(store.connect(config.redis), config.redis.namespace)
    streamed = dict(zip(members, states.read(members), strict=True))

    job_context = context(config)
    run(ingest.JOB, job_context)
    outcome = run(replay.JOB, job_context)

    rows = {row["member_id"]: row for row in job_context.lake.read(tables.STATES).collect()}
    assert {member: bytes(row["state"]) for member, row in rows.items()} == {
        member: there.state for member, there in streamed.items()
    }
    assert {member: fence.decode(bytes(row["fence"])) for member, row in rows.items()} == {
        member: fence.decode(there.fence) for member, there in streamed.items()
    }
    assert outcome.details == {"members": str(len(members)), "installed": "0"}  # nothing in Redis had to change
