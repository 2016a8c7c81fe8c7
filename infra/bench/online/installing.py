"""The invented service written into Redis: a snapshot as the publish job writes it, states and fresh candidates as the worker
does, and what is trending."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from infra.bench.invented import Candidates, write_snapshot
from infra.bench.online.marked import MarkedWorld
from infra.bench.online.world import COUNTRIES, Member, World
from shared import fence as fences
from shared import fresh, histories, keys, state, trending
from shared.config import Config
from shared.fence import Fence, Position
from shared.fresh import FreshCandidates
from shared.snapshots import SnapshotStore, new_version
from shared.trending import PARTS, Trending, TrendingTitle

FRESH_EVERY, FRESH_CANDIDATES = 5, 300
"""One member in five finished a title lately and has candidates retrieved anew."""
TRENDING_TITLES = 100
KEYS_PER_TRIP = 200


def install(client: redis.Redis, config: Config, world: World | MarkedWorld, mark: str = "") -> str:
    """Write all of a world and flip the configured arm to it; the snapshot's version, which begins with `mark`."""
    namespace, version = config.redis.namespace, f"{mark}{new_version('bench')}"
    arrays = world.arrays()
    write_snapshot(
        client,
        namespace,
        version,
        world.catalogue(),
        arrays,
        _with_states(client, config, version, world),
        created_at_ms=world.created_at_ms,
    )
    install_trending(client, namespace, world.now_ms, arrays["trending"])
    SnapshotStore(client, namespace).flip(config.online.arm, version)
    return version


def fence_of(member: int, config: Config) -> Fence:
    """How far into the plays a member's state has got."""
    return {config.kafka.plays_topic: Position(1, member % config.kafka.partitions, 1000 + member)}


def _with_states(
    client: redis.Redis, config: Config, version: str, world: World | MarkedWorld
) -> Iterator[tuple[str, Candidates]]:
    """The candidates of every member, who is given a state and perhaps fresh candidates on the way."""
    namespace = config.redis.namespace
    pipeline = client.pipeline(transaction=False)
    for number, member in enumerate(world.people()):
        fence = fence_of(number, config)
        pairs: list[Any] = [keys.STATE_FIELD, state.encode(member.state), keys.FENCE_FIELD, fences.encode(fence)]
        pipeline.hset(keys.state(namespace, member.member_id), items=pairs)
        if number % FRESH_EVERY == 0:
            blob = fresh.encode(_fresh(member, version, fence, world.now_ms))
            pairs = [keys.FENCE_FIELD, fences.encode(fence), keys.BLOB_FIELD, blob]
            pipeline.hset(keys.fresh(namespace, member.member_id, version), items=pairs)
        if number % KEYS_PER_TRIP == 0:
            pipeline.execute()
        yield member.member_id, (member.titles, member.scores)
    pipeline.execute()


def _fresh(member: Member, version: str, fence: Fence, now_ms: int) -> FreshCandidates:
    """The member's candidates in another order, some of them left out, as a retrieval after a few plays gives them."""
    kept = member.titles[1::2][:FRESH_CANDIDATES], member.scores[1::2][:FRESH_CANDIDATES]
    return FreshCandidates(version, fence, now_ms - 30_000, *kept, histories.seeds(member.state))


def install_trending(client: redis.Redis, namespace: str, now_ms: int, ranked: npt.NDArray[np.int32]) -> None:
    """What is trending in every country and at every part of the day."""
    for place, country in enumerate((None, *COUNTRIES)):
        listed = np.roll(ranked, 7 * place)[:TRENDING_TITLES].tolist()
        titles = tuple(
            TrendingTitle(f"t{title}", 9.0 / (rank + 1), 0.05, 0.01, 0.04, 1000.0, 50.0, 40.0)
            for rank, title in enumerate(listed)
        )
        for part in PARTS:
            blob = trending.encode(Trending(made_at_ms=now_ms, country=country, part=part, titles=titles))
            client.set(keys.trending(namespace, country, part), blob)
