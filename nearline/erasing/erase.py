"""Erases a member from Redis, has the lake do its part, and proves both by looking for the member afterwards.

What stays in Redis is a tombstone: an empty state whose fence says that all of the member's records up to now are seen. A worker
that holds the member in memory is refused at its next write, takes the tombstone over and drops what is still on its way; so
does one that reads the topics again. It expires once Kafka has removed those records. A member who comes back before begins
anew from it, and it becomes a state like any other.
"""

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
import redis

from nearline.auditing import member_keys
from nearline.auditing.log_fold import Log
from nearline.auditing.log_reader import LogReader, Span
from nearline.records import Place
from shared import config as configuration
from shared import erasure, keys, marks, state, store
from shared import fence as fences
from shared.config import Config
from shared.erasure import Ends
from shared.errors import ConflictError, InputError, SnapshotError
from shared.events import MAX_ID_LENGTH
from shared.fence import Fence, Position
from shared.state import EMPTY
from shared.store import StateStore, StateWrite, StoredState

ATTEMPTS = 20
LEFT_EXIT_CODE = 1
LAKE_LIMIT_S = 4 * 3600

_EXPIRE = """
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
"""Only of the tombstone itself: the member may have come back since it was written."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What was done in Redis. `left` are keys and sets that still have the member, the tombstone aside."""

    keys: int
    left: int
    expires_s: float | None


class RedisErasure:
    """Erases one member from Redis.

    Parameters
    ----------
    ends : where the topics end; all before it is erased.
    kept_s : how long Kafka keeps what it has now; None for ever.
    """

    def __init__(self, client: redis.Redis, config: Config, log: Log, ends: Ends, kept_s: float | None) -> None:
        self._client, self._namespace = client, config.redis.namespace
        self._store = StateStore(client, self._namespace)
        self._log, self._kept_s = log, kept_s
        self._ends = {place: end for place, end in _places(ends).items() if place in set(log.places)}

    def run(self, member_id: str) -> Removed:
        """Bury the state, remove every other key, and count what is left.

        Raises
        ------
        ConflictError : the state kept moving through every attempt.
        """
        self._bury(member_id)
        tombstone = keys.state(self._namespace, member_id)
        others = [key for key in member_keys.of_member(self._client, self._namespace, member_id) if key != tombstone]
        if others:
            for key in others:
                self._client.delete(key)
        sets = member_keys.sets_of_members(self._client, self._namespace)
        removed = sum(int(self._client.zrem(name, member_id)) for name in sets)
        return Removed(1 + len(others) + removed, self.count(member_id), self._kept_s)

    def count(self, member_id: str) -> int:
        """How much of the member Redis has, beside a tombstone."""
        found = set(member_keys.of_member(self._client, self._namespace, member_id))
        tombstone = keys.state(self._namespace, member_id)
        if tombstone in found and self._is_empty(member_id):
            found.remove(tombstone)
        sets = member_keys.sets_of_members(self._client, self._namespace)
        return len(found) + sum(self._client.zscore(name, member_id) is not None for name in sets)

    def _bury(self, member_id: str) -> None:
        key = keys.state(self._namespace, member_id)
        for _ in range(ATTEMPTS):
            [there] = self._store.read([member_id])
            before = _fence(there)
            upto = self._upto(member_id, before)
            topics = fences.merge(marks.topics(before), upto)
            fence = marks.repaired({**topics, **_only_repairs(before), **marks.erase(upto)})
            blob = fences.encode(fence)
            [refused] = self._store.write([StateWrite(member_id, there.fence, blob, state.encode(EMPTY))])
            if refused is None:
                expire = "" if self._kept_s is None else str(int(self._kept_s))
                self._client.eval(_EXPIRE, 1, key, blob, expire)
                return
        raise ConflictError(f"the state of member {member_id!r} kept changing while it was erased")

    def _upto(self, member_id: str, before: Fence) -> Fence:
        """The last position to erase in each topic: the end of the partition that has the member's records.

        The fence names it. Where it does not, records may be on their way that no worker has taken in yet: they are looked for.
        """
        newest = {topic: history[-1].number for topic, history in self._log.epochs.items()}
        known = {
            topic: at.partition
            for topic, at in before.items()
            if at.epoch == newest.get(topic) and Place(topic, at.partition) in self._ends
        }
        unknown = [place for place in self._log.places if place.topic not in known]
        if unknown:
            first = self._log.watermarks() if before else {}
            spans = {place: Span(max(span.first, first.get(place, 0)), self._ends[place]) for place, span in self._spans(unknown)}
            for arrival in self._log.arrivals(spans, member_id.encode().__eq__):
                known[arrival.topic] = arrival.at.partition
        return {
            topic: Position(newest[topic], number, self._ends[Place(topic, number)] - 1)
            for topic, number in known.items()
            if self._ends[Place(topic, number)] > 0
        }

    def _spans(self, places: list[Place]) -> list[tuple[Place, Span]]:
        there = self._log.spans()
        return [(place, there[place]) for place in places]

    def _is_empty(self, member_id: str) -> bool:
        [there] = self._store.read([member_id])
        return there.state == state.encode(EMPTY)


def _fence(there: StoredState) -> Fence:
    """The fence of a state; none where its bytes make no sense, for the state goes anyway."""
    try:
        return fences.decode(there.fence)
    except SnapshotError:
        return {}


def _only_repairs(fence: Fence) -> Fence:
    return {topic: at for topic, at in fence.items() if topic == marks.REPAIRED}


def _places(ends: Ends) -> Mapping[Place, int]:
    found: dict[Place, int] = {}
    for name, end in ends.items():
        topic, _, partition = name.split(":")
        found[Place(topic, int(partition))] = end
    return found


def run(member_id: str, config_path: str | None, is_redis_only: bool) -> int:
    """The command `erase`; its exit code."""
    if not 0 < len(member_id) <= MAX_ID_LENGTH:
        raise InputError(f"a member's id has 1 to {MAX_ID_LENGTH} characters; {len(member_id)} were given")
    config = configuration.load(config_path)
    with store.reachable(config.redis), store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        client.ping()
        ends = erasure.ends(client, config)
        redis_erasure = RedisErasure(client, config, Log(config, client, reader), ends, erasure.kept_s(config))
        removed = redis_erasure.run(member_id)
        click.echo(f"Redis: {removed.keys} keys and entries removed, {removed.left} left")
        until = "until Kafka's retention ends" if removed.expires_s is None else f"for {removed.expires_s / 86400:.1f} days"
        kept = "Kafka never removes old records" if removed.expires_s is None else "then Kafka has removed the old records"
        click.echo(f"  a tombstone without content stays {until} ({kept}), so that they stay without effect")
        lake_code = 0 if is_redis_only else _erase_from_lake(member_id, config, config_path, ends)
        left = redis_erasure.count(member_id)
    if left:
        click.echo(f"error: Redis has {left} keys or entries of the member again; a job or worker wrote them meanwhile", err=True)
    return LEFT_EXIT_CODE if left or lake_code else 0


def _erase_from_lake(member_id: str, config: Config, config_path: str | None, ends: Ends) -> int:
    """Let the offline layer do its part, in a process of its own; its exit code, or 1 when it could not be started here."""
    job = ["-m", "offline", "erase", *(["--config", config_path] if config_path else [])]
    root = config.lake.root
    if "://" not in root and not Path(root).expanduser().exists():
        click.echo(f"Lake: there is none at {root}")
        return 0
    if importlib.util.find_spec("pyspark") is None:
        told = shlex.join(["python", *job, "--", member_id])
        click.echo(f"Lake: not erased, pyspark is not installed here. On a machine that has it, run: {told}")
        return LEFT_EXIT_CODE
    click.echo("Lake:")
    sys.stdout.flush()
    command = [sys.executable, *job, "--ends", msgspec.json.encode(ends).decode(), "--", member_id]
    try:
        return subprocess.run(command, timeout=LAKE_LIMIT_S, check=False).returncode
    except subprocess.TimeoutExpired:
        click.echo(f"error: the lake's part did not end within {LAKE_LIMIT_S} s", err=True)
        return LEFT_EXIT_CODE
