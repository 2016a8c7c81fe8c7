"""How a rival measures itself and tells: from its first event to its last, start-up left out, as one line of JSON."""

import os
import sys
import time
from pathlib import Path

import msgspec
import psutil

from infra.bench.nearline.rates import Span
from shared import config as configuration
from shared.config import Config

MARK = "measured:"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a rival is to do."""

    config_path: str
    events: int  # how many to handle; the topic has at least as many
    limit_s: float  # stop after this time, and tell how far it got
    state_bytes: int = 0  # bare loop: how large the states are that it writes
    decode: bool = False  # bare loop: whether it also decodes and validates the values

    @property
    def config(self) -> Config:
        """The configuration to run on."""
        return configuration.load(Path(self.config_path))


class Measured(Span, frozen=True, kw_only=True):
    """What a rival did."""

    rss_bytes: int


class Meter:
    """Counts handled events. `begin` is called when the first batch is there, before it is handled."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._wall_s = 0.0
        self._cpu_s = 0.0
        self.events = 0

    def begin(self) -> None:
        """Start the clock at the first call."""
        if not self._wall_s:
            self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def add(self, events: int) -> bool:
        """Count handled events; whether that is enough."""
        self.events += events
        return self.events >= self._job.events or time.perf_counter() - self._wall_s > self._job.limit_s

    def finish(self) -> None:
        """Tell what was measured and end the process: nothing that it holds is worth an orderly end."""
        measured = Measured(
            events=self.events,
            wall_s=time.perf_counter() - self._wall_s,
            cpu_s=time.process_time() - self._cpu_s,
            rss_bytes=psutil.Process().memory_info().rss,
        )
        sys.stdout.write(f"{MARK}{msgspec.json.encode(measured).decode()}\n")
        sys.stdout.flush()
        os._exit(0)


def job_of(arguments: list[str]) -> Job:
    """The job that `running.run` put on the command line."""
    return msgspec.json.decode(arguments[0], type=Job)
