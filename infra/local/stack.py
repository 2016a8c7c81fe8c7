"""Kafka and Redis together, as children of the calling process: what tests, the demo and the daemon all start."""

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local import ports, state
from infra.local.kafka_broker import KafkaBroker
from infra.local.process import Service, end_process
from infra.local.redis_server import RedisServer
from infra.local.settings import write_settings
from infra.local.state import ProcessMark, ServerState, StackState
from infra.local.topics import create_topics
from shared import config as configuration
from shared.config import Config, KafkaConfig, LakeConfig, RedisConfig
from shared.errors import ConflictError, MarqueeError, UnavailableError

DISK_MB = 100


class LocalStack:
    """A Kafka broker and a Redis under one folder, with Marquee's topics and a marquee.toml that leads to them.

    The servers end with the calling process, however that ends. What they hold stays under `root` for the next start.

    Parameters
    ----------
    root : gets `stack/` (data, logs), `lake/` and `marquee.toml`.
    kafka_port, redis_port : None takes the one used last time, or a free one.
    partitions : of each topic when it is created.
    is_daemon : whether this process exists only to run the stack, so that `down` may end it.
    """

    def __init__(
        self,
        root: Path,
        *,
        kafka_port: int | None = None,
        redis_port: int | None = None,
        partitions: int = 8,
        is_daemon: bool = False,
    ) -> None:
        self.root = root.absolute()
        self.folder = self.root / "stack"
        self._configured = {"Kafka": kafka_port, "Redis": redis_port}
        self._partitions = partitions
        self._is_daemon = is_daemon
        self._held = contextlib.ExitStack()
        self._kafka: KafkaBroker | None = None
        self._redis: RedisServer | None = None

    @property
    def kafka(self) -> KafkaBroker:
        """The broker's process. Raises `UnavailableError` before `start`."""
        if self._kafka is None:
            raise UnavailableError(f"the stack in {self.root} has not been started")
        return self._kafka

    @property
    def redis(self) -> RedisServer:
        """The Redis process. Raises `UnavailableError` before `start`."""
        if self._redis is None:
            raise UnavailableError(f"the stack in {self.root} has not been started")
        return self._redis

    @property
    def config(self) -> Config:
        """Configuration that leads to this stack, all else as by default. Raises `UnavailableError` before `start`."""
        return Config(
            redis=RedisConfig(url=self.redis.url, password=self.redis.password),
            kafka=KafkaConfig(bootstrap_servers=self.kafka.bootstrap_servers, partitions=self._partitions),
            lake=LakeConfig(root=str(self.root / "lake")),
        )

    def start(self) -> Self:
        """Start both servers, wait until they serve, create the topics, write marquee.toml.

        Raises
        ------
        ConflictError : another process runs the stack in this folder.
        ConfigError : the folder's marquee.toml cannot be read.
        UnavailableError : the disk is full, a configured port is in use, or a server does not come up; nothing is left running.
        """
        check_room(self.root)
        try:
            is_ours = self._held.enter_context(state.lock(self.folder))
        except OSError as error:
            raise UnavailableError(f"{self.folder}: cannot be written ({error})") from None
        if not is_ours:
            self._held.close()
            raise ConflictError(f"the stack in {self.root} is already run by {_owner(state.read(self.folder))}")
        try:
            if (self.root / "marquee.toml").exists():
                configuration.load(self.root / "marquee.toml")  # in the end it is completed; tell now that it cannot be
            self._choose_places()
            self._write("starting")
            for server in (self.kafka, self.redis):
                server.launch()
            self._write("starting")
            for server in (self.redis, self.kafka):
                server.wait()
            create_topics(self.config.kafka)
            write_settings(self.root / "marquee.toml", self.config)
            self._write("up")
        except BaseException as error:
            self._end(force=True)
            self._write("failed", str(error) if isinstance(error, MarqueeError) else repr(error))
            self._held.close()
            raise
        return self

    def stop(self) -> None:
        """Stop both servers in good order, by force after their limits. Does nothing when they are not running."""
        if self._kafka is None or self._redis is None:
            return
        self._end(force=False)
        self._write("stopped")
        self._held.close()

    def reports(self) -> list[str]:
        """How servers ended that should be running; empty while all is well. Also noted in the stack's state."""
        ended = [server for server in self._servers() if not server.is_running]
        if ended:
            self._write("up")
        return [server.describe_exit() for server in ended]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _servers(self) -> list[Service]:
        return [server for server in (self._kafka, self._redis) if server is not None]

    def _choose_places(self) -> None:
        """End what an earlier owner left, then settle on ports."""
        before = state.read(self.folder)
        for server in (before.kafka, before.redis) if before else ():
            if server.process is not None:
                end_process(server.process.pid, server.process.start_time, stop_limit_s=10.0)
        past = (before.kafka.port, before.redis.port, before.controller_port) if before else (0, 0, 0)
        known = [port or None for port in past]
        configured = frozenset(port for port in self._configured.values() if port is not None)
        if len(configured) == 1 and None not in self._configured.values():
            raise UnavailableError(f"port {min(configured)} is configured for both Kafka and Redis")
        kafka = ports.claim("Kafka", self._configured["Kafka"], known[0], configured)
        redis = ports.claim("Redis", self._configured["Redis"], known[1], configured | {kafka})
        controller = ports.claim("Kafka's controller", None, known[2], configured | {kafka, redis})
        logs = self.folder / "logs"
        password = os.environ.get("MARQUEE_REDIS_PASSWORD") or None
        self._kafka = KafkaBroker(self.folder / "kafka", logs / "kafka.log", kafka, controller, self._partitions)
        self._redis = RedisServer(self.folder / "redis", logs / "redis.log", redis, password)

    def _end(self, *, force: bool) -> None:
        servers = self._servers()
        for server in servers:
            server.kill() if force else server.request_stop()
        for server in servers:
            server.wait_stopped()

    def _write(self, phase: str, message: str = "") -> None:
        def describe(server: KafkaBroker | RedisServer | None) -> ServerState:
            if server is None:
                return ServerState(0)
            if server.is_running:
                return ServerState(server.port, ProcessMark.of(server.pid))
            ended_itself = phase == "up" and server.exit_code is not None
            return ServerState(server.port, exit=server.describe_exit() if ended_itself else None)

        state.write(
            self.folder,
            StackState(
                phase=phase,  # type: ignore[arg-type]
                owner=ProcessMark.of(os.getpid()),
                is_daemon=self._is_daemon,
                message=message,
                controller_port=self._kafka.controller_port if self._kafka else 0,
                kafka=describe(self._kafka),
                redis=describe(self._redis),
            ),
        )


def check_room(root: Path) -> None:
    """Raise `UnavailableError` when the disk below `root` (which need not be there yet) is too full for a stack."""
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free_mb = shutil.disk_usage(place).free / 1e6
    if free_mb < DISK_MB:
        raise UnavailableError(f"{root} has {free_mb:.1f} MB of free disk; a Kafka and a Redis need at least {DISK_MB} MB")


def _owner(present: StackState | None) -> str:
    return f"process {present.owner.pid}" if present else "another process"
