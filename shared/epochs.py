"""Numbers the incarnations of a topic: a new epoch begins when it is created anew, and when it gets more partitions.

Offsets tell old from new only within an epoch, and a member's only as long as it stays in one partition. A topic that grows
keeps its records, so its new epoch begins at an offset in each old partition: what lies before belongs to the epoch before,
and has had its effect. `python -m nearline repartition` begins one when nothing is on its way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from shared import keys

_NUMBER = """
local known = redis.call('HGET', KEYS[1], ARGV[2])
if known then return tonumber(known) end
local highest = tonumber(ARGV[3])
for _, number in ipairs(redis.call('HVALS', KEYS[1])) do highest = math.max(highest, tonumber(number)) end
local given = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or highest + 1)
redis.call('HSET', KEYS[1], ARGV[2], given)
return given
"""
"""A topic id alone, without the partitions, is how version 0.1 wrote it."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a topic. `starts` is the first offset of each partition that belongs to it; zero where none is named."""

    number: int
    partitions: int
    starts: Mapping[int, int] = field(default_factory=dict)


def number(client: redis.Redis, namespace: str, topic: str, topic_id: str, partitions: int, floor: int = 0) -> int:
    """The epoch of this incarnation of a topic; the first to ask for a new one numbers it.

    A topic that got more partitions by other ways than `begin` goes on from its watermarks. Its members' records may then lie
    in two partitions of one epoch, in an order that nobody knows; a fence counts none of them as seen.

    Parameters
    ----------
    topic_id : Kafka's own id of the topic, new whenever the topic is created anew.
    floor : the highest epoch known elsewhere (the lake), so that a Redis that was emptied does not start at one again.
    """
    incarnation = f"{topic_id}/{partitions}"
    before = history(client, namespace, topic, topic_id)
    if before and all(epoch.partitions != partitions for epoch in before):
        _go_on(client, namespace, topic, incarnation, before[-1])
    return int(cast("int", client.eval(_NUMBER, 1, keys.epoch(namespace, topic), topic_id, incarnation, floor)))


def _go_on(client: redis.Redis, namespace: str, topic: str, incarnation: str, last: Epoch) -> None:
    """Begin an epoch where the last one had got to. Several workers may do so at once: the first to set a value has set it."""
    key, watermarks = keys.epoch(namespace, topic), keys.watermark(namespace, topic)
    epoch = max(int(value) for value in cast("list[bytes]", client.hvals(key))) + 1
    for partition in range(last.partitions):
        mark = cast("bytes | None", client.hget(watermarks, f"{last.number}:{partition}"))
        start = max(int(mark or 0), last.starts.get(partition, 0))
        for place in (keys.epoch_starts(namespace, topic), watermarks):
            client.hsetnx(place, f"{epoch}:{partition}", str(start))
    client.hsetnx(key, incarnation, str(epoch))


def begin(client: redis.Redis, namespace: str, topic: str, topic_id: str, partitions: int, starts: Mapping[int, int]) -> int:
    """Begin the epoch of a topic that is about to get more partitions; its number. May be repeated until it has them.

    The number is given last: without it nobody uses the rest.

    Parameters
    ----------
    partitions : how many it gets.
    starts : each present partition to the offset before which everything has had its effect.
    """
    key = keys.epoch(namespace, topic)
    numbers = cast("dict[bytes, bytes]", client.hgetall(key))
    unused = [name for name in numbers if _is_unused(name.decode(), topic_id, len(starts))]
    epoch = max((int(value) for name, value in numbers.items() if name not in unused), default=0) + 1
    if unused:
        client.hdel(key, *unused)
    marks: dict[Any, Any] = {f"{epoch}:{partition}": offset for partition, offset in starts.items()}
    for place in (keys.epoch_starts(namespace, topic), keys.watermark(namespace, topic)):
        client.hset(place, mapping=marks)
    client.hset(key, f"{topic_id}/{partitions}", epoch)
    return epoch


def _is_unused(incarnation: str, topic_id: str, present: int) -> bool:
    """Whether it was begun, and the topic never got the partitions."""
    known_id, _, partitions = incarnation.rpartition("/")
    return known_id == topic_id and int(partitions) > present


def history(client: redis.Redis, namespace: str, topic: str, topic_id: str) -> list[Epoch]:
    """The epochs of one topic id, oldest first: one, and one more for each time that it got more partitions."""
    numbers = cast("dict[bytes, bytes]", client.hgetall(keys.epoch(namespace, topic)))
    marks = cast("dict[bytes, bytes]", client.hgetall(keys.epoch_starts(namespace, topic)))
    starts: dict[int, dict[int, int]] = {}
    for place, offset in marks.items():
        epoch, _, partition = place.decode().partition(":")
        starts.setdefault(int(epoch), {})[int(partition)] = int(offset)
    found = [
        Epoch(int(value), int(partitions), starts.get(int(value), {}))
        for name, value in numbers.items()
        for known_id, _, partitions in [name.decode().rpartition("/")]
        if known_id == topic_id
    ]
    return sorted(found, key=lambda epoch: epoch.number)


def epoch_at(epochs: Sequence[Epoch], partition: int, offset: int) -> int:
    """Which of a topic's epochs a record belongs to: the newest that had begun in its partition.

    Parameters
    ----------
    epochs : as `history` gives them; at least one.
    """
    begun = [epoch.number for epoch in epochs if offset >= epoch.starts.get(partition, 0) and partition < epoch.partitions]
    return begun[-1] if begun else epochs[-1].number
