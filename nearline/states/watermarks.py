"""How far into each partition the effects are all in Redis, written there after the members' states.

Kafka's committed offset can be ahead of what Redis still has after a crash, because Redis syncs its log once a second. The
watermark lies in the same log behind the states that it vouches for: whatever Redis lost, it lost the watermark too. So a
worker starts from the lower of the two. That holds as long as nothing is ever put on top of a loss:

- *Nothing is read or written through a connection to a Redis that was started again* (or to a promoted replica) before its
  watermarks were compared with those that this worker knows: see `RedisHistories`. Lower ones are lost writes, and end the
  worker. So a state is never folded on from one that went back, whose fence would then hide the records in between.
- *A batch that was cut in two by such a start is repeated*, and every state it needs is read again: Redis may have kept the
  watermark before it and lost the states of its first half.
- *`advance` compares and sets*: where a watermark is lower than this worker knows it, data were lost in another way (emptied,
  restored from a backup), and it refuses.

In a Redis Cluster each master has its own log, and slots move between them with their keys. So there are copies of the
watermarks under `COPIES` hash tags that are spread over the slots, all are written with each batch, and the lowest counts.
Each master that owns the slot of one is vouched for by that one; when the slot moves the copy goes along, and still says how
far its former master had got, so a loss is seen wherever members and copies went after it. (Taking the highest of the copies
on a master would miss that: the copies that were there before know nothing of what came in with less.)

What copies cannot see: keys that a master received with a slot, and lost in a crash before its log was synced, after the
other master had dropped them. So each copy also says which slots its master had, and in which life it was, when it was
written. A master vouches for its slots if it is still in that life, so that nothing can have been lost since; or if it, or the
master whose place it took, had them all then, so that their arrival lies before the copy in its log; or if it has run since
before the worker last looked, when it had none. If one does not vouch, its copies are set to zero: what Kafka still has is
read again by all workers, and what the states have seen is dropped. A worker does not start on a master that has none of the
copies' slots, as a new one has not at its first few.
"""

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from nearline.records import Place
from nearline.states.redis_histories import RedisHistories, RestartedError
from nearline.states.redis_masters import Master, find_masters
from shared import keys, sharding
from shared.errors import UnavailableError
from shared.slots import SLOTS, ranges, slots_of, spread_tags

COPIES = 64
"""Copies in a cluster, one in each run of 256 slots."""

_ADVANCE = """
for index = 5, #ARGV, 3 do
  local there = tonumber(redis.call('HGET', KEYS[2], ARGV[index]) or '0')
  if there < tonumber(ARGV[index + 1]) then return {ARGV[index], there} end
end
for index = 5, #ARGV, 3 do
  local there = tonumber(redis.call('HGET', KEYS[2], ARGV[index]) or '0')
  if tonumber(ARGV[index + 2]) > there then redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 2]) end
end
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], 'history', ARGV[1], 'data', ARGV[2], 'node', ARGV[3], 'slots', ARGV[4])
end
return 0
"""
"""KEYS: where the master describes itself, the topic's hash. ARGV: the master's history, data, id and slots, or four times
nothing; then of each watermark its field, what it was known to be, and what it shall be. A watermark only rises: a worker that
lost its partition without noticing must not pull that of its successor back. Returns 0, or which is lower than known and how
low."""

_RESET = """
if redis.call('HGET', KEYS[1], 'history') == ARGV[1] then return 0 end
return redis.call('DEL', unpack(KEYS))
"""
"""KEYS: where the master describes itself, the topics' hashes. ARGV: its history. Nothing when another worker was faster."""

log = logging.getLogger(__name__)


class LostWritesError(UnavailableError):
    """Redis has less than this worker had written: it came back without its newest writes, or was emptied."""


@dataclass(frozen=True, slots=True)
class _Vouched:
    """What the master of one copy said of itself when the copy was written."""

    history: str
    data: str
    node: str
    slots: frozenset[int]


class Watermarks:
    """The watermarks of some topics. Called from one thread at a time.

    Parameters
    ----------
    client : its connections are watched from now on; it serves one such object only.
    epochs : topic to its epoch.
    """

    def __init__(self, client: redis.Redis, namespace: str, epochs: Mapping[str, int]) -> None:
        self._client = client
        self._namespace = namespace
        self._epochs = epochs
        self._known: dict[Place, int] = {}
        self._histories = RedisHistories(client)
        self._cluster = sharding.as_cluster(client)
        self._tags = _tags(client)
        self._masters: dict[str, Master] = {}  # of a cluster, as they were when last looked at
        self._looked_s = 0.0
        self._slots: tuple[int, dict[str, str]] = (-1, {})  # version of the map of slots, and the slots of each master as text

    def resume(self, place: Place, committed: int | None) -> int:
        """The offset to start a partition from: the lower of the committed one and the watermark.

        A side that knows nothing counts as zero: then all of this epoch that Kafka still has is read again, and what the
        states have seen is dropped. What lies before the epoch's start had its effect when the topic got more partitions.

        Raises
        ------
        LostWritesError : Redis has less than this worker wrote for the partitions that it has had.
        """
        there = self._settle([place])[place]
        self._known[place] = there
        start = cast("bytes | None", self._client.hget(keys.epoch_starts(self._namespace, place.topic), self._field(place)))
        return max(int(start or 0), min(there, committed or 0))

    def check(self, place_offsets: Mapping[Place, int]) -> None:
        """Before a batch: look at what Redis still has, if it was started again since. Otherwise nothing is sent.

        Raises
        ------
        LostWritesError : it has less than this worker wrote; the partitions must be read again from their watermarks.
        """
        if self._histories.is_changed:
            self._settle(place_offsets)

    def look(self) -> None:
        """While there may be nothing to write: notice a Redis that was started again, and look at what it still has.

        Raises
        ------
        LostWritesError : as `check`.
        redis.RedisError : it does not answer.
        """
        with contextlib.suppress(RestartedError):
            self._client.ping()
        self.check({})

    def advance(self, place_offsets: Mapping[Place, int]) -> None:
        """Declare that the effects of all records before these offsets are in Redis.

        Raises
        ------
        LostWritesError : a watermark there is lower than this worker knows it.
        RestartedError : a Redis was started again after `check`. Repeat the batch, and hold no state for known.
        """
        pipeline = self._client.pipeline(transaction=False)
        for topic in {place.topic for place in place_offsets}:
            marks = [
                part
                for place, offset in place_offsets.items()
                if place.topic == topic
                for part in (self._field(place), self._known.get(place, 0), offset)
            ]
            for tag, master in self._copies():
                name = keys.watermark(self._namespace, topic, tag)
                pipeline.eval(_ADVANCE, 2, keys.watermark_master(self._namespace, tag) if tag else name, name, *master, *marks)
        refused = [reply for reply in pipeline.execute() if reply != 0]
        if refused:
            field, there = refused[0]
            raise self._lost(next(place for place in place_offsets if self._field(place) == field.decode()), int(there))
        for place, offset in place_offsets.items():
            self._known[place] = max(offset, self._known.get(place, 0))

    def _settle(self, places: Iterable[Place]) -> dict[Place, int]:
        """Look at the masters there are and at what they have; the watermarks of these places and of all known ones."""
        self._histories.accept()
        masters = {}
        if self._cluster is not None:
            cluster = self._cluster.cluster()
            cluster.refresh()
            masters = find_masters(cluster, self._histories.known)
        there = self._read(list({*places, *self._known}), masters)
        for master in masters.values():
            if self._histories.known[master.address] != master.history:
                raise self._histories.refuse(f"the Redis at {master.address} was started again")
        for place, known in self._known.items():
            if there[place] < known:
                raise self._lost(place, there[place])
        self._masters, self._looked_s = masters, time.monotonic()
        self._histories.accepted()
        return there

    def _read(self, places: Sequence[Place], masters: Mapping[str, Master]) -> dict[Place, int]:
        """The lowest of all copies; zero when a master does not vouch for what it has.

        Raises
        ------
        UnavailableError : a master has none of the copies.
        """
        lowest = read(self._client, self._namespace, self._epochs, places)
        if not masters:
            return lowest
        pipeline = self._client.pipeline(transaction=False)
        for tag in self._tags:
            pipeline.hmget(keys.watermark_master(self._namespace, tag), ["history", "data", "node", "slots"])
        copies = {tag: _vouched(reply) for tag, reply in zip(self._tags, pipeline.execute(), strict=True)}
        for master in masters.values():
            tags = [tag for tag, slot in self._tags.items() if slot in master.slots]
            if not self._is_vouched_for(master, [copies[tag] for tag in tags]):
                if any(lowest.values()):
                    log.warning("no watermark vouches for all slots of the Redis at %s: all is read again", master.address)
                self._reset(master, tags)
                lowest = dict.fromkeys(lowest, 0)
        return lowest

    def _reset(self, master: Master, tags: Sequence[str]) -> None:
        """Set the watermarks of all partitions to zero, for all workers: who raised one before will refuse to go on."""
        if not tags:
            raise UnavailableError(
                f"the Redis at {master.address} serves {len(master.slots)} slots of the cluster, and none of those that carry a "
                f"watermark; move a run of {SLOTS // COPIES * 2} slots to it"
            )
        pipeline = self._client.pipeline(transaction=False)
        for tag in tags:
            names = [
                keys.watermark_master(self._namespace, tag),
                *(keys.watermark(self._namespace, topic, tag) for topic in self._epochs),
            ]
            pipeline.eval(_RESET, len(names), *names, master.history)
        pipeline.execute()

    def _is_vouched_for(self, master: Master, copies: Sequence[_Vouched]) -> bool:
        before = self._masters.get(master.address)
        if before is not None and before.history == master.history:
            return True
        if before is None and self._masters and master.started_s < self._looked_s:
            return True
        return any(
            copy.history == master.history
            or (master.slots <= copy.slots and (copy.node == master.node or copy.data == master.data_before))
            for copy in copies
            if copy.history
        )

    def _copies(self) -> list[tuple[str, tuple[str, ...]]]:
        """The tag of each copy with what its master says of itself; one without either is always there."""
        found: list[tuple[str, tuple[str, ...]]] = [("", ("", "", "", ""))]
        if self._cluster is None:
            return found
        cluster = self._cluster.cluster()
        if self._slots[0] != cluster.version:
            version = cluster.version
            self._slots = version, {node.name: ranges(slots) for node, slots in cluster.masters().items()}
        for tag, slot in self._tags.items():
            address = cluster.nodes_manager.get_node_from_slot(slot).name
            master = self._masters.get(address)
            if master is None:
                raise self._histories.refuse(f"the Redis at {address} is a new master")
            found.append((tag, (master.history, master.data, master.node, self._slots[1][address])))
        return found

    def _field(self, place: Place) -> str:
        return _field(self._epochs, place)

    def _lost(self, place: Place, there: int) -> LostWritesError:
        return LostWritesError(
            f"Redis lost its newest writes: the watermark of {place.topic}/{place.partition} went back from "
            f"{self._known.get(place, 0)} to {there}; start the worker again, and it resumes from there"
        )


def read(client: redis.Redis, namespace: str, epochs: Mapping[str, int], places: Sequence[Place]) -> dict[Place, int]:
    """How far some partitions have got: the lowest that Redis has of each. For looking on; a worker asks `Watermarks.resume`."""
    tags = ("", *_tags(client))
    pipeline = client.pipeline(transaction=False)
    topics = sorted({place.topic for place in places})
    for topic in topics:
        fields = [_field(epochs, place) for place in places if place.topic == topic]
        for tag in tags:
            pipeline.hmget(keys.watermark(namespace, topic, tag), fields)
    replies: list[list[bytes | None]] = pipeline.execute()
    lowest: dict[Place, int] = {}
    for number, topic in enumerate(topics):
        marks = zip(*replies[number * len(tags) : (number + 1) * len(tags)], strict=True)
        of_topic = (place for place in places if place.topic == topic)
        lowest |= {place: min(int(mark or 0) for mark in copies) for place, copies in zip(of_topic, marks, strict=True)}
    return lowest


def _tags(client: redis.Redis) -> dict[str, int]:
    """The hash tags of the copies in a cluster, and their slots."""
    return spread_tags(COPIES) if sharding.as_cluster(client) else {}


def _field(epochs: Mapping[str, int], place: Place) -> str:
    return f"{epochs[place.topic]}:{place.partition}"


def _vouched(reply: Sequence[Any]) -> _Vouched:
    history, data, node, slots = ((part or b"").decode() for part in reply)
    return _Vouched(history, data, node, slots_of(slots))
