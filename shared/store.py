"""The Redis access of all layers: connecting, and reading and writing member states under their fences.

`StateStore.write` is the one way a state gets into Redis. Each state is written with its fence by a script that first
compares the fence there with the one the writer had read; so a batch is one round trip, a repeated call does no harm,
and two writers of one member cannot lose each other's work.
"""

import functools
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import redis
import redis.exceptions

from shared import fence as fences
from shared import keys, marks, sharding, state
from shared.config import RedisConfig
from shared.errors import ConfigError, ConflictError, UnavailableError
from shared.fence import Fence
from shared.state import MemberState

_WRITE = """
local replies = {}
for number, key in ipairs(KEYS) do
  local before, after, state = ARGV[3 * number - 2], ARGV[3 * number - 1], ARGV[3 * number]
  local there = redis.pcall('HGET', key, 'f')
  if type(there) == 'table' and there.err then
    replies[number] = there.err
  elseif (there or '') == before then
    if string.find(before, '#erased', 1, true) then redis.pcall('PERSIST', key) end
    local done = redis.pcall('HSET', key, 's', state, 'f', after)
    replies[number] = type(done) == 'table' and done.err or 1
  else
    local state_there = redis.call('HGET', key, 's') or ''
    replies[number] = there == after and state_there == state and 2 or {there or '', state_there}
  end
end
return replies
"""
"""KEYS: members' hashes. ARGV, of each: fence read before, new fence, new state. A reply a member: 1 written, 2 already so,
else what is there as {fence, state}, or the error as text. One member's error does not stop the others. The tombstone of an
erased member (`shared.marks`) expires; the state of one who comes back does not."""

_READ = """
local replies = {}
for number, key in ipairs(KEYS) do replies[number] = redis.call('HMGET', key, 's', 'f') end
return replies
"""

MEMBERS_PER_CALL = 200
"""Members that one script call takes: enough that the call costs nothing, few enough that Redis serves others in between."""
TRIP_BYTES = 8 << 20
"""States are sent in round trips of about this size, so that no batch needs unbounded buffers on either side."""

INSTALL_ATTEMPTS = 20
T = TypeVar("T")

_REFUSAL = re.compile(r"\b(OOM|MISCONF|READONLY) .*")


def connect(config: RedisConfig) -> redis.Redis:
    """A client with the configured time limit on connecting and on every reply. Nothing is sent yet.

    For the address of a cluster it is a `shared.sharding.ClusterClient`, which has the same commands.

    Raises
    ------
    ConfigError : the URL is none that redis-py understands.
    """
    limits = {"socket_timeout": config.timeout_s, "socket_connect_timeout": config.timeout_s}
    if sharding.is_cluster_url(config.url):
        options = sharding.parse(config.url) | ({"password": config.password} if config.password else {})
        return cast("redis.Redis", sharding.ClusterClient(options | limits, config.timeout_s))
    try:
        client: redis.Redis = redis.Redis.from_url(config.url, password=config.password, decode_responses=False, **limits)
    except ValueError as error:
        raise ConfigError(f"[redis] url: {config.url!r} is not a Redis address ({error})") from None
    return client


@contextmanager
def reachable(config: RedisConfig) -> Iterator[None]:
    """Turn Redis' errors of connection, time, full memory and full disk into one `UnavailableError` that names the address."""
    try:
        yield
    except redis.exceptions.AuthenticationError as error:
        raise UnavailableError(f"Redis at {config.url} refused the password ({error}); set MARQUEE_REDIS_PASSWORD") from error
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
        raise UnavailableError(f"Redis at {config.url} did not answer within {config.timeout_s:g} s: {error}") from error
    except redis.exceptions.ClusterError as error:
        raise UnavailableError(f"the Redis Cluster at {config.url} does not serve all slots: {error}") from error
    except redis.exceptions.ResponseError as error:
        refusal = _REFUSAL.search(str(error))  # inside a script it has no exception of its own
        if refusal is None:
            raise
        raise UnavailableError(f"Redis at {config.url} refuses to write: {refusal[0]}") from error


@dataclass(frozen=True, slots=True)
class StoredState:
    """A member's state with its fence, as bytes. Both are empty for a member that Redis does not know."""

    state: bytes
    fence: bytes

    def decode(self) -> tuple[MemberState, Fence]:
        """The state and its fence as values."""
        return (state.decode(self.state) if self.state else state.EMPTY), fences.decode(self.fence)


MISSING = StoredState(b"", b"")


class StateWrite(NamedTuple):
    """One state to write: what was read before (its fence), and what shall be there."""

    member_id: str
    fence_before: bytes
    fence: bytes
    state: bytes


class StateStore:
    """Member states in Redis."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        # The keys of one call lie in one slot, and members of a batch seldom share one.
        self._members_per_call = 1 if sharding.as_cluster(client) else MEMBERS_PER_CALL

    def read(self, member_ids: Sequence[str]) -> list[StoredState]:
        """The states of some members, in one round trip to each node; `MISSING` for members without one."""
        calls = [_Call([self._key(member_id) for member_id in chunk], []) for chunk in self._chunks(member_ids)]
        return [StoredState(blob or b"", fence or b"") for blob, fence in self._run(_READ, calls)]

    def write(self, writes: Sequence[StateWrite]) -> list[StoredState | None]:
        """Write some states, in one round trip to each node (several when they are larger than `TRIP_BYTES`).

        Returns
        -------
        For each, None when it is now in Redis, or what is there instead because somebody else moved the fence.

        Raises
        ------
        redis.ResponseError : Redis refused a state; the others of the batch may have been written.
        """
        found: list[StoredState | None] = []
        for trip in _trips(writes):
            calls = [
                _Call(
                    [self._key(write.member_id) for write in chunk],
                    [part for write in chunk for part in (write.fence_before, write.fence, write.state)],
                )
                for chunk in self._chunks(trip)
            ]
            for write, reply in zip(trip, self._run(_WRITE, calls), strict=True):
                if isinstance(reply, bytes):
                    raise redis.exceptions.ResponseError(f"the state of member {write.member_id!r}: {reply.decode()}")
                found.append(None if isinstance(reply, int) else StoredState(reply[1], reply[0]))
        return found

    def _chunks(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        size = self._members_per_call
        return (items[start : start + size] for start in range(0, len(items), size))

    def _key(self, member_id: str) -> str:
        return keys.state(self._namespace, member_id)

    def _run(self, script: str, calls: "Sequence[_Call]") -> list[Any]:
        """Run one script on some members' keys; a reply for each key."""
        try:
            replies = self._send(script, calls)
        except (
            redis.exceptions.NoScriptError
        ):  # a new server, or one whose script cache was flushed: nothing is lost by repeating
            self._client.script_load(script)
            replies = self._send(script, calls)
        return list(itertools.chain.from_iterable(replies))

    def _send(self, script: str, calls: "Sequence[_Call]") -> list[Any]:
        sha = _sha(script)
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(sha, len(call.keys), *call.keys, *call.arguments)
        replies: list[Any] = pipeline.execute()
        return replies

    def install(self, states: Iterable[tuple[str, bytes, bytes]], batch: int = 500) -> int:
        """Merge states folded from the log into Redis: nothing that is newer there is lost or moved back.

        Parameters
        ----------
        states : (member_id, state bytes, fence bytes).
        batch : members a round trip.

        Returns
        -------
        How many states in Redis changed.

        Raises
        ------
        ConflictError : a member's state kept moving through every attempt.
        """
        changed = 0
        pending: list[tuple[str, bytes, bytes]] = []
        for item in states:
            pending.append(item)
            if len(pending) >= batch:
                changed += self._install(pending)
                pending = []
        return changed + (self._install(pending) if pending else 0)

    def _install(self, items: list[tuple[str, bytes, bytes]]) -> int:
        changed = 0
        there = self.read([member_id for member_id, _, _ in items])
        for _ in range(INSTALL_ATTEMPTS):
            writes = [
                StateWrite(member_id, now.fence, *_merged(now, blob, fence))
                for (member_id, blob, fence), now in zip(items, there, strict=True)
            ]
            due = [
                index
                for index, (write, now) in enumerate(zip(writes, there, strict=True))
                if (write.fence, write.state) != (now.fence, now.state)
            ]
            replies = self.write([writes[index] for index in due])
            moved = [(index, reply) for index, reply in zip(due, replies, strict=True) if reply is not None]
            changed += len(due) - len(moved)
            if not moved:
                return changed
            items = [items[index] for index, _ in moved]
            there = [reply for _, reply in moved]
        raise ConflictError(f"the state of member {items[0][0]!r} kept changing while it was installed")


def _merged(now: StoredState, blob: bytes, fence: bytes) -> tuple[bytes, bytes]:
    """Fence and state bytes after merging what is in Redis with what was folded from the log."""
    state_there, fence_there = now.decode()
    reached = fences.merge(fence_there, fences.decode(fence))
    merged = blob if now.state in (b"", blob) else state.encode(state.merge(state_there, state.decode(blob)))
    if merged != now.state and reached == fence_there:
        reached = marks.installed(reached)
    return fences.encode(reached), merged


class _Call(NamedTuple):
    """One call of a script: keys, and arguments for each of them."""

    keys: list[str]
    arguments: list[bytes]


def _trips(writes: Sequence[StateWrite]) -> Iterator[Sequence[StateWrite]]:
    start, size = 0, 0
    for number, write in enumerate(writes):
        size += len(write.state)
        if size > TRIP_BYTES:
            yield writes[start : number + 1]
            start, size = number + 1, 0
    if start < len(writes):
        yield writes[start:]


@functools.cache
def _sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()
