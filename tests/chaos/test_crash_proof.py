"""The crash proof in its short form: every fault once, and some guards taken out. `make chaos` is the long form."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local.stack import LocalStack
from tests.chaos.command import first_failure
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.orders import Guard
from tests.chaos.runs import Outcome, Runs

pytestmark = pytest.mark.slow

JOBS = 3  # most of a run is waiting: for a group to form, a session to end, a server to come back
SEED = 1
MISSED: list[tuple[str, Guard]] = [
    ("worker killed after the flush", "seen"),
    ("Redis and the worker killed", "placing"),
    ("a batch arrives late", "fence"),
]


class Begun:
    """All runs of this module, side by side; each test waits for its own."""

    def __init__(self, runs: Runs, pool: ThreadPoolExecutor) -> None:
        self.outcomes: dict[str, Future[Outcome]] = {fault.name: pool.submit(runs.run, fault, SEED) for fault in FAULTS}
        self.failures: dict[tuple[str, Guard], Future[Outcome | None]] = {
            (name, guard): pool.submit(first_failure, runs, fault_named(name), guard, SEED) for name, guard in MISSED
        }


def fault_named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


@pytest.fixture(scope="module")
def begun(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    folder: Path = tmp_path_factory.mktemp("chaos")
    with Runs(folder, stack.kafka) as runs, ThreadPoolExecutor(JOBS) as pool:
        yield Begun(runs, pool)


@pytest.mark.parametrize("name", [fault.name for fault in FAULTS])
def test_nothing_is_lost_and_nothing_doubled(begun: Begun, name: str) -> None:
    outcome = begun.outcomes[name].result()
    assert outcome.strikes > 0, "the fault did not happen"
    assert (outcome.lost, outcome.doubled) == (0, 0), outcome.line()


@pytest.mark.parametrize(("name", "guard"), MISSED)
def test_a_guard_that_is_taken_out_is_missed(begun: Begun, name: str, guard: Guard) -> None:
    assert begun.failures[name, guard].result() is not None, f"nothing was lost or doubled without {guard}"
