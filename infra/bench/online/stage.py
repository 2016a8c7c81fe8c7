"""What the sections share: a Redis with the invented service in it, and who asks for what."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import redis

from infra.bench.online.installing import install
from infra.bench.online.server import BenchRedis
from infra.bench.online.world import DEVICES, World
from infra.local.ports import free_port
from shared import store
from shared.config import Config, KafkaConfig, OnlineConfig, RedisConfig, TrendingConfig

NAMESPACE = "bench"
ROWS, ROW_LENGTH = 20, 40
STALE_S = 86_400
"""A run takes longer than a live list of what is trending is good for, and nobody renews it here."""


@dataclass
class Stage:
    """One run's server and members.

    Parameters
    ----------
    calls : how often each thing is timed.
    say : takes lines about what is going on.
    """

    server: BenchRedis
    folder: Path
    world: World
    calls: int
    say: Callable[[str], None]

    def config(self, transport: str = "socket", **online: Any) -> Config:
        """For a recommender over one transport. Impressions are not logged unless `online` says so."""
        settings = {"rows": ROWS, "row_length": ROW_LENGTH, "log_impressions": False, **online}
        return Config(
            redis=RedisConfig(url=self.server.address(transport), namespace=NAMESPACE),
            kafka=KafkaConfig(bootstrap_servers=f"127.0.0.1:{free_port()}"),
            trending=TrendingConfig(expire_s=STALE_S),
            online=OnlineConfig(**settings),
        )

    @cached_property
    def version(self) -> str:
        """The snapshot of the world, installed when it is asked for first."""
        self.say(f"installing {self.world.members:,} members with {self.world.candidates} candidates each …")
        config = self.config()
        with store.connect(config.redis) as client:
            return install(client, config, self.world)

    @cached_property
    def asking(self) -> "list[Asking]":
        """Who asks in which call: members drawn at random, so that neither side finds them in a cache."""
        drawn = np.random.default_rng(5).integers(0, self.world.members, max(self.calls, 1000)).tolist()
        return [Asking(f"m{member}", self.world.country(member), DEVICES[member % len(DEVICES)]) for member in drawn]

    def who(self, number: int) -> "Asking":
        """Who asks in the call of a number."""
        return self.asking[number % len(self.asking)]

    @contextmanager
    def client(self, transport: str = "socket") -> Iterator[redis.Redis]:
        """A plain connection, as the bare reads use it."""
        with store.connect(self.config(transport).redis) as client:
            yield client

    def replace(self, config: Config, **online: Any) -> Config:
        """The same with other settings of `[online]`."""
        return msgspec.structs.replace(config, online=msgspec.structs.replace(config.online, **online))


@dataclass(frozen=True)
class Asking:
    """One request."""

    member_id: str
    country: str
    device: str
