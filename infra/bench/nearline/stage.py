"""What the sections of the benchmark share: a stack of its own, workloads sent once, and a fresh start for every run."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from infra.bench.nearline.observing import Sample, Series, follow
from infra.bench.nearline.sending import send
from infra.bench.nearline.workload import Workload
from infra.local.settings import to_toml
from infra.local.stack import LocalStack
from infra.local.topics import create_topics
from infra.local.worker import NearlineWorker
from shared import store
from shared.config import Config

LIMIT_S = 1800.0


@dataclass(frozen=True)
class Run:
    """A configuration with a Redis namespace and a consumer group that nothing has used yet."""

    config: Config
    path: Path

    def worker(self, instance: str | None = None) -> NearlineWorker:
        """A worker on it, not started."""
        return NearlineWorker(self.path, self.path.with_name(f"{instance or 'worker'}.log"), instance=instance)


@dataclass
class Stage:
    """One benchmark run's servers and logs.

    Parameters
    ----------
    say : takes lines about what is going on.
    """

    stack: LocalStack
    say: Callable[[str], None]
    _sent: dict[Workload, str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def run(self, workload: Workload | None = None) -> Run:
        """A fresh start over a workload, which is sent when it is asked for first; None: over an empty topic of its own."""
        name = f"run{next(self._numbers)}"
        topic = f"plays-{name}" if workload is None else self._topic(workload)
        base = self.stack.config
        config = msgspec.structs.replace(
            base,
            redis=msgspec.structs.replace(base.redis, namespace=name),
            kafka=msgspec.structs.replace(base.kafka, plays_topic=topic),
            nearline=msgspec.structs.replace(base.nearline, group=name),
        )
        create_topics(config.kafka)  # those of a workload are there
        path = self.stack.root / name / "marquee.toml"
        path.parent.mkdir()
        path.write_text(to_toml(config), encoding="utf-8")
        return Run(config, path)

    def work(self, run: Run, total: int, *, every_s: float = 0.05, say: Callable[[Sample], None] = lambda sample: None) -> Series:
        """Have one worker handle a backlog of `total` events."""
        worker = run.worker()
        worker.launch()  # not `start`: it is busy from the moment that it is ready
        try:
            return follow(run.config, [worker], total, every_s=every_s, limit_s=LIMIT_S, say=say)
        finally:
            worker.stop()

    def forget(self) -> None:
        """Empty Redis, so that no run pays for the ones before it."""
        with store.connect(self.stack.config.redis) as client, store.reachable(self.stack.config.redis):
            client.flushall()

    def _topic(self, workload: Workload) -> str:
        if workload not in self._sent:
            topic = f"plays-{workload.kind}-{workload.events}-{workload.members}"
            self.say(f"sending {workload.events:,} events ({workload.kind}, {workload.members:,} members) …")
            send(msgspec.structs.replace(self.stack.config.kafka, plays_topic=topic), workload)
            self._sent[workload] = topic
        return self._sent[workload]
