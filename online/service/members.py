"""What Redis knows about members, for people: some of them to begin with, and their live states. Never at request time."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from shared import keys, sharding, state, store
from shared.config import RedisConfig
from shared.errors import InputError, SnapshotError
from shared.state import EMPTY, MemberState
from shared.store import StateStore

SAMPLE = 24
"""Members that a list shows."""
SCAN_CALLS, SCAN_KEYS = 40, 1000
"""Of SCAN, and the keys that each looks at: a list costs Redis about ten milliseconds, however many members there are."""


class Members:
    """Reads of members' keys. Thread-safe."""

    def __init__(self, config: RedisConfig) -> None:
        self._config = config
        self._client = store.connect(config)
        self._store = StateStore(self._client, config.namespace)

    def states(self, member_ids: Sequence[str]) -> list[MemberState]:
        """Their live states; an empty one for a member without any, or with one that cannot be read.

        Raises
        ------
        UnavailableError : Redis does not answer.
        """
        with store.reachable(self._config):
            stored = self._store.read(member_ids)
        return [_state(blob.state) for blob in stored]

    def sample(self, version: str | None, wanted: str = "") -> list[tuple[str, MemberState]]:
        """Some members, those with a live state first, then some whom only the snapshot knows.

        Parameters
        ----------
        version : the snapshot.
        wanted : part of their ids. A member of exactly this id comes first, known or not.

        Raises
        ------
        UnavailableError : Redis does not answer.
        """
        patterns = [keys.states_pattern(self._config.namespace)]
        if version is not None:
            patterns.append(keys.candidates_pattern(self._config.namespace, version))
        found = dict.fromkeys([wanted] if wanted else [])
        with store.reachable(self._config):
            for pattern in patterns:
                some = (member for member in self._scanned(pattern) if wanted in member)
                for member in some:
                    if len(found) >= SAMPLE:
                        break
                    found[member] = None
        return list(zip(found, self.states(list(found)), strict=True)) if found else []

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _scanned(self, pattern: str) -> Iterator[str]:
        """Members whose keys match, as far as a bounded number of calls finds them; some possibly twice."""
        nodes = _nodes(self._client)
        for key in itertools.chain.from_iterable(_keys(node, pattern, SCAN_CALLS // len(nodes)) for node in nodes):
            try:
                yield keys.member_of(self._config.namespace, key.decode())
            except (InputError, UnicodeDecodeError):  # somebody else's key in our namespace
                continue


def _nodes(client: redis.Redis) -> list[Any]:
    """A client of each server that holds keys."""
    sharded = sharding.as_cluster(client)
    if sharded is None:
        return [client]
    cluster: Any = sharded.cluster()  # redis-py does not type this part of it
    return [cluster.get_redis_connection(node) for node in cluster.masters()]


def _keys(node: Any, pattern: str, calls: int) -> Iterator[bytes]:
    cursor = 0
    for _ in range(max(1, calls)):
        cursor, found = node.scan(cursor, match=pattern, count=SCAN_KEYS)
        yield from found
        if cursor == 0:
            return


def _state(blob: bytes) -> MemberState:
    try:
        return state.decode(blob) if blob else EMPTY
    except SnapshotError:
        return EMPTY
