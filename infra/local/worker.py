"""A nearline worker as a child process, for tests, benchmarks and the demo: it dies with the process that started it."""

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.process import Service
from nearline.records import Place
from nearline.states import watermarks
from nearline.watching.readiness import READY
from shared import store, topics
from shared.config import Config
from shared.errors import UnavailableError

ROOT = Path(__file__).parents[2]


class NearlineWorker(Service):
    """`python -m nearline worker` on a configuration.

    Parameters
    ----------
    config_path : the marquee.toml to run on.
    log_path : takes its output; None puts it beside the configuration.
    instance : see `python -m nearline worker --help`.
    """

    def __init__(self, config_path: Path, log_path: Path | None = None, *, instance: str | None = None) -> None:
        name = instance or "nearline"
        super().__init__("The nearline worker", log_path or config_path.with_name(f"{name}.log"), stop_limit_s=30.0)
        self._config_path = config_path
        self._instance = instance
        self._log_start = 0

    def start(self, timeout_s: float = 60.0) -> None:
        """Start it and wait until it has its partitions.

        Raises
        ------
        UnavailableError : it ended, or was not ready in time; nothing is left running.
        """
        self.start_limit_s = timeout_s
        super().start()

    def prepare(self) -> None:
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0

    def command(self) -> Sequence[str]:
        options = ["--instance", self._instance] if self._instance else []
        return [
            *(sys.executable, "-m", "nearline", "--log-level", "info"),
            *("worker", "--config", str(self._config_path), *options),
        ]

    def environment(self) -> Mapping[str, str]:
        return {"PYTHONPATH": str(ROOT)}

    def check(self, limit_s: float) -> None:
        if READY not in self.output():
            raise UnavailableError("the nearline worker does not have its partitions yet")

    def output(self) -> str:
        """What the worker has printed and logged since it was started."""
        try:
            with self.log_path.open("rb") as handle:
                handle.seek(self._log_start)
                return handle.read().decode("utf-8", errors="replace")
        except OSError:
            return ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def wait_caught_up(config: Config, timeout_s: float) -> None:
    """Wait until the effects of all that plays and feedback hold now are in Redis.

    Raises
    ------
    UnavailableError : they were not within the limit, or Kafka or Redis did not answer.
    """
    from kafka import KafkaConsumer, TopicPartition

    names = [config.kafka.plays_topic, config.kafka.feedback_topic]
    deadline_s = time.monotonic() + timeout_s
    with store.reachable(config.redis), topics.reachable(config.kafka), contextlib.ExitStack() as stack:
        client = stack.enter_context(store.connect(config.redis))
        epochs = topics.epochs(client, config.redis.namespace, config.kafka, names)
        reader = KafkaConsumer(bootstrap_servers=config.kafka.bootstrap_servers.split(","))
        stack.callback(reader.close)
        partitions = [TopicPartition(name, number) for name in names for number in reader.partitions_for_topic(name) or ()]
        ends = reader.end_offsets(partitions)
        while True:
            places = [Place(at.topic, at.partition) for at in partitions]
            marks = watermarks.read(client, config.redis.namespace, epochs, places)
            behind = sum(max(0, ends[at] - marks[place]) for at, place in zip(partitions, places, strict=True))
            if not behind:
                return
            if time.monotonic() > deadline_s:
                raise UnavailableError(f"the nearline worker was still {behind} records behind after {timeout_s:g} s")
            time.sleep(0.05)
