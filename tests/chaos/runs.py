"""Does seeded runs and says how each ended."""

import contextlib
import shutil
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka.errors import KafkaError
from redis.exceptions import RedisError

from infra.local import ports
from infra.local.kafka_broker import KafkaBroker
from shared.errors import UnavailableError
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.oracle import Verdict, judge
from tests.chaos.orders import Guard
from tests.chaos.world import PARTITIONS, StuckError, World


@dataclass(frozen=True)
class Outcome:
    """One run."""

    fault: str
    seed: int
    without: Guard | None
    lost: int
    doubled: int
    strikes: int
    lives: int
    seconds: float
    details: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled, and something happened."""
        return self.lost == 0 and self.doubled == 0 and self.strikes > 0

    def line(self) -> str:
        """The run in one line."""
        guard = f" without {self.without}" if self.without else ""
        told = f"{self.fault}{guard}, seed {self.seed}: lost {self.lost}, doubled {self.doubled}"
        told += f" ({self.strikes} faults, {self.lives} lives, {self.seconds:.1f} s)"
        return told + "".join(f"\n    {detail}" for detail in self.details[:5])

    def as_dict(self) -> dict[str, object]:
        """For the journal."""
        return asdict(self)


class Runs:
    """Runs faults on a Kafka, each in a folder of its own that is removed when the run was clean."""

    def __init__(self, folder: Path, kafka: KafkaBroker | None = None) -> None:
        self._folder = folder
        self._shared = kafka
        self._started: dict[str, KafkaBroker] = {}
        self._starting = threading.Lock()
        self._alone = threading.Lock()  # whose Kafka dies shares it with nobody

    def run(self, fault: Fault, seed: int, without: Guard | None = None) -> Outcome:
        """One run from its seed to its verdict."""
        with self._alone if fault.has_own_kafka else contextlib.nullcontext():
            return self._run(fault, seed, without)

    def _run(self, fault: Fault, seed: int, without: Guard | None) -> Outcome:
        began_s = time.monotonic()
        name = f"{FAULTS.index(fault)}-{seed}" + (f"-{without}".replace(" ", "-") if without else "")
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        with World(folder, self._kafka(fault), seed, without) as world:
            try:
                fault.happen(world)
                verdict = judge(world.config, world.history)
            except (StuckError, UnavailableError, KafkaError, RedisError) as error:
                verdict = Verdict(max(1, world.behind()), 0, (f"not finished: {error!r}",))
            lives = sum(worker.lives for worker in world.workers)
        outcome = Outcome(
            fault.name,
            seed,
            without,
            verdict.lost,
            verdict.doubled,
            world.strikes,
            lives,
            round(time.monotonic() - began_s, 2),
            verdict.details,
        )
        if outcome.is_clean:
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    def _kafka(self, fault: Fault) -> KafkaBroker:
        if self._shared is not None and not fault.has_own_kafka:
            return self._shared
        name = "kafka-that-dies" if fault.has_own_kafka else "kafka"
        with self._starting:
            if name not in self._started:
                port = ports.free_port()
                controller_port = ports.free_port(frozenset({port}))
                broker = KafkaBroker(self._folder / name, self._folder / f"{name}.log", port, controller_port, PARTITIONS)
                broker.start()
                self._started[name] = broker
            return self._started[name]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for broker in self._started.values():
            broker.request_stop()
        for broker in self._started.values():
            broker.wait_stopped()
