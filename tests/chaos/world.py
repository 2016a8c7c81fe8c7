"""What one run happens in: a Redis of its own, topics of its own on a shared Kafka, and workers that can be ordered to fail."""

import contextlib
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import redis

from infra.local import ports
from infra.local.kafka_broker import KafkaBroker
from infra.local.redis_server import RedisServer
from infra.local.settings import to_toml
from infra.local.topics import create_topics, delete_topics, topic_names
from nearline.watching.readiness import READY
from shared import keys, store
from shared.config import Config, KafkaConfig, NearlineConfig, RedisConfig
from shared.errors import UnavailableError
from tests.chaos.history import History
from tests.chaos.orders import FailPoint, Guard, Orders
from tests.chaos.slow_link import SlowLink

PARTITIONS = 4
MEMBERS = 50
EVENTS = 1500
LIMIT_S = 90.0
"""How long any one thing in a run may take."""
LIVES = 25
"""A worker that ends more often than that will never catch up."""
SESSION_S = 3.0
BATCH_EVENTS = 60

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.chaos.worker_under_test"])


class CrashingRedis(RedisServer):
    """A Redis whose append-only file can be cut, as a machine that fails cuts it to what was synced."""

    @property
    def written_bytes(self) -> int:
        """Length of the append-only file now."""
        return self._log.stat().st_size

    def lose_tail(self, draw: random.Random, kept: int) -> None:
        """After a kill: cut the file somewhere behind its first `kept` bytes."""
        os.truncate(self._log, draw.randint(kept, self.written_bytes))

    @property
    def _log(self) -> Path:
        single = self.folder / "appendonly.aof"  # Redis 6; from 7 on it is a folder of files
        return single if single.is_file() else max((self.folder / "appendonlydir").glob("*.incr.aof"))


class StuckError(Exception):
    """The workers did not catch up with the log, or something else that had to happen did not."""


class WorkerUnderTest:
    """One worker, in as many lives as it takes."""

    def __init__(self, world: "World", name: str, *, is_older: bool = False, overlap_seed: int | None = None) -> None:
        self.world = world
        self.name = name
        self.log_path = world.folder / f"{name}.log"
        self.is_older = is_older
        self.config_path = world.config_path
        self.overlap_seed = overlap_seed
        self.drop_seed: int | None = None
        self.in_every_life: tuple[FailPoint, ...] = ()
        self.lives = 0
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self, *fail: FailPoint) -> None:
        """Begin a life that fails as told."""
        from tests.chaos import worker_under_test

        self.lives += 1
        orders = Orders(
            config_path=str(self.config_path),
            log_path=str(self.log_path),
            instance=self.name,
            redis_pid=self.world.redis.pid,
            flag_path=str(self.world.flag_path),
            fail=(*self.in_every_life, *fail),
            without=self.world.without,
            overlap_seed=self.overlap_seed,
            drop_seed=self.drop_seed,
            is_older=self.is_older,
        )
        self._process = _FORKS.Process(target=worker_under_test.run, args=(orders,), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Process id of the present life."""
        assert self._process is not None and self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it lives (or was never started); negative is the signal that ended it."""
        return None if self._process is None else self._process.exitcode

    @property
    def is_stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        with contextlib.suppress(psutil.Error):
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        return False

    def has_said(self, text: str) -> bool:
        """Whether its log has some text."""
        return self.log_path.exists() and text in self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_ready(self) -> None:
        """Wait until a life of it has had its partitions."""
        self.world.wait(lambda: self.has_said(READY), f"worker {self.name} has no partitions")

    def send_signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self._process is not None and self._process.is_alive():
            os.kill(self.pid, number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End this life."""
        if self._process is None:
            return
        self.send_signal(number)
        self._process.join(10)
        if self._process.is_alive():
            self.send_signal(signal.SIGKILL)
            self._process.join(10)


class World:
    """One run's servers, log and workers. Closed at its end.

    Parameters
    ----------
    seed : decides everything that is drawn.
    kafka : the broker that the run's topics are made on.
    without : the guard that all its workers do without.
    """

    def __init__(self, folder: Path, kafka: KafkaBroker, seed: int, without: Guard | None = None) -> None:
        self.folder = folder
        self.kafka = kafka
        self.seed = seed
        self.without = without
        self.draw = random.Random(seed)
        self.redis = CrashingRedis(folder / "redis", folder / "redis.log", ports.free_port())
        self.workers: list[WorkerUnderTest] = []
        self.strikes = 0  # faults that happened
        name = f"c{os.getpid()}-{seed}-{time.monotonic_ns() % 1_000_000}"
        self.config = Config(
            redis=RedisConfig(url=self.redis.url, namespace="mq", timeout_s=1.0),
            kafka=KafkaConfig(
                bootstrap_servers=kafka.bootstrap_servers,
                partitions=PARTITIONS,
                plays_topic=f"{name}-plays",
                feedback_topic=f"{name}-feedback",
                impressions_topic=f"{name}-impressions",
                dead_letters_topic=f"{name}-dead-letters",
            ),
            nearline=NearlineConfig(
                group=f"{name}-nearline",
                batch_events=BATCH_EVENTS,
                session_timeout_s=SESSION_S,
                stall_timeout_s=20.0,
                cache_mb=self.draw.choice((0, 1)),
            ),
        )
        self.config_path = folder / "marquee.toml"
        self.flag_path = folder / "flag"
        self.history = History(self.config)
        self.history.invent(EVENTS, MEMBERS, seed)
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> "World":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(to_toml(self.config), encoding="utf-8")
        self.redis.start()
        create_topics(self.config.kafka)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.end()
        self._closing.close()
        self.history.close()
        self.redis.signal(signal.SIGCONT)
        self.redis.kill()
        with contextlib.suppress(UnavailableError):
            delete_topics(self.config.kafka, topic_names(self.config.kafka))

    def worker(self, name: str = "only", *, is_older: bool = False, overlap_seed: int | None = None) -> WorkerUnderTest:
        """Another worker of this run, not started yet."""
        worker = WorkerUnderTest(self, name, is_older=is_older, overlap_seed=overlap_seed)
        self.workers.append(worker)
        return worker

    def slow_link(self, hold_s: float) -> SlowLink:
        """Put a link that can hold back between Redis and the workers that are started from now on."""
        link = SlowLink(self.redis.port, self.flag_path, hold_s)
        self._closing.callback(link.close)
        link.start()
        url = f"redis://127.0.0.1:{link.port}/0"
        behind = msgspec.structs.replace(self.config, redis=msgspec.structs.replace(self.config.redis, url=url))
        self.config_path.write_text(to_toml(behind), encoding="utf-8")
        return link

    def worker_of_another_group(self, name: str) -> WorkerUnderTest:
        """A worker that is given all records too, beside the others."""
        worker = self.worker(name)
        worker.config_path = self.folder / f"{name}.toml"
        nearline = msgspec.structs.replace(self.config.nearline, group=f"{self.config.nearline.group}-{name}")
        worker.config_path.write_text(to_toml(msgspec.structs.replace(self.config, nearline=nearline)), encoding="utf-8")
        return worker

    def wait(
        self, condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S, tick: Callable[[], None] | None = None
    ) -> None:
        """Wait until a condition holds. Raises `StuckError` that says `what` when it does not in time."""
        deadline_s = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline_s:
                raise StuckError(f"{what} after {limit_s:g} s")
            if tick is not None:
                tick()
            time.sleep(0.02)

    def wait_killed(self, worker: WorkerUnderTest) -> bool:
        """Wait until a worker has killed itself, or has caught up without coming to that; whether it died."""
        self.wait(lambda: worker.exit_code is not None or self.behind() == 0, f"worker {worker.name} neither died nor finished")
        if worker.exit_code is None:  # a commit comes after the watermark
            with contextlib.suppress(StuckError):
                self.wait(lambda: worker.exit_code is not None, "", limit_s=3.0)
        if worker.exit_code is not None:
            self.strikes += 1
        return worker.exit_code is not None

    def behind(self) -> int:
        """Records sent whose watermark is not there. All of them while Redis does not answer."""
        ends = self.history.ends()
        missing = 0
        try:
            with store.connect(self.config.redis) as client:
                marks = {
                    topic: client.hgetall(keys.watermark(self.config.redis.namespace, topic)) for topic in {at[0] for at in ends}
                }
        except redis.RedisError:
            return sum(ends.values())
        for (topic, partition), end in ends.items():
            missing += max(0, end - int(marks[topic].get(f"1:{partition}".encode(), 0)))
        return missing

    def catch_up(self, limit_s: float = LIMIT_S) -> None:
        """Keep all workers alive, without further faults, until everything sent has its watermark."""
        self.wait(lambda: self.behind() == 0, "records still wait for their watermark", limit_s, self.tend)

    def tend(self) -> None:
        """Start every worker anew that has ended, as a supervisor would."""
        for worker in self.workers:
            if worker.lives and worker.exit_code is not None:
                if worker.lives >= LIVES:
                    raise StuckError(f"worker {worker.name} ended {worker.lives} times, last with {worker.exit_code}")
                worker.start()

    def settle(self, seconds: float = 0.5) -> None:
        """Give a worker that fell behind the time to do what it still means to, then end all in good order."""
        time.sleep(seconds)
        for worker in self.workers:
            worker.end(signal.SIGTERM)

    @contextlib.contextmanager
    def sending(self, seconds: float, steps: int = 20) -> Iterator[None]:
        """Send the rest of the records evenly over some time, while the block runs; done when it ends."""
        failed: list[BaseException] = []
        done = len(self.history.places) / len(self.history.records)

        def send() -> None:
            try:
                for step in range(1, steps + 1):
                    self.history.send(done + (1 - done) * step / steps)
                    time.sleep(seconds / steps)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=send, name="sending")
        thread.start()
        try:
            yield
        finally:
            thread.join(LIMIT_S)
        if failed:
            raise failed[0]
