"""Workers come and go while events flow, asked to or killed: their partitions are handed over, and nothing is lost or doubled."""

import time
from pathlib import Path

import pytest

from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.watching.readiness import READY
from shared.config import Config
from tests.nearline.event_log import EventLog, states_in_redis
from tests.nearline.flowing import Flow
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow

LIMIT_S = 90.0
FLOW_S = 40.0  # more than the coming and going takes


def wait_until_it_works(worker: NearlineWorker) -> None:
    """Wait until a worker has partitions of the plays topic."""
    worker.wait()
    deadline = time.monotonic() + LIMIT_S
    while "partitions of" not in worker.output() or worker.output().rstrip().endswith("[]"):
        assert worker.is_running, worker.describe_exit()
        assert time.monotonic() < deadline, "it was given no partitions"
        time.sleep(0.05)


def test_three_workers_join_and_leave_while_events_flow(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(12_000, members=400, seed=21)
    path = settings(config, tmp_path)
    first, second, third = (NearlineWorker(path, tmp_path / f"{name}.log") for name in ("first", "second", "third"))
    try:
        for worker in (first, second):
            worker.launch()
        wait_until_it_works(first)
        with Flow(log, 0, len(log.records), FLOW_S):
            wait_until_it_works(second)
            third.launch()
            wait_until_it_works(third)
            first.stop()  # hands over
            assert first.exit_code == 0
            second.kill()  # its partitions wait for the session time-out
            first.launch()
        wait_until_it_works(first)
        wait_caught_up(config, LIMIT_S)
        third.stop()
        first.stop()
        assert (third.exit_code, first.exit_code) == (0, 0)
    finally:
        for worker in (first, second, third):
            worker.kill()
    expected = log.oracle()
    assert states_in_redis(config, list(expected)) == expected
    for worker in (first, second, third):
        assert READY in worker.output()
