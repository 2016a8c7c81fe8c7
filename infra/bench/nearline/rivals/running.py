"""Runs one rival as a child process and reads what it measured."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from infra.bench.nearline.rivals.measuring import MARK, Job, Measured
from infra.local.process import Service, wait_until
from shared.errors import UnavailableError

ROOT = Path(__file__).parents[4]
START_LIMIT_S = 60.0


class Rival(Service):
    """`python -m infra.bench.nearline.rivals.<module>` on a job."""

    def __init__(self, module: str, job: Job, log_path: Path) -> None:
        super().__init__(f"The rival {module}", log_path)
        self._module = module
        self._job = job

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", f"infra.bench.nearline.rivals.{self._module}", msgspec.json.encode(self._job).decode()]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(ROOT)}


def run(module: str, job: Job, folder: Path) -> Measured:
    """Run a rival to its end.

    Raises
    ------
    UnavailableError : it failed, or did not end within its limit.
    """
    rival = Rival(module, job, folder / f"{module}-{time.time_ns()}.log")
    rival.launch()
    try:
        if not wait_until(lambda: not rival.is_running, job.limit_s + START_LIMIT_S):
            raise UnavailableError(f"{rival.name} did not end within {job.limit_s + START_LIMIT_S:.0f} s; see {rival.log_path}")
    finally:
        rival.kill()
    lines = rival.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    if not found:
        raise UnavailableError(rival.describe_exit())
    return msgspec.json.decode(found[-1], type=Measured)
