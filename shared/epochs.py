"""Numbers the incarnations of a topic: a new epoch begins when it is created anew, and when it gets more partitions.

A fence compares offsets within an epoch, which is sound only as long as a member stays in one partition. Both events end
that. A topic that grows keeps its records, so its new epoch begins at an offset in each old partition: what lies before
belongs to the epoch before. Only `python -m nearline repartition` may begin such an epoch, because all records before those
offsets must have had their effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import redis

from shared import keys
from shared.errors import ConflictError

_NUMBER = """
local known = redis.call('HGET', KEYS[1], ARGV[1] .. '/' .. ARGV[2])
if known then return tonumber(known) end
local highest = tonumber(ARGV[3])
local fields = redis.call('HGETALL', KEYS[1])
for index = 1, #fields, 2 do
  if string.sub(fields[index], 1, #ARGV[1] + 1) == ARGV[1] .. '/' then return fields[index] end
  highest = math.max(highest, tonumber(fields[index + 1]))
end
local given = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or highest + 1)
redis.call('HSET', KEYS[1], ARGV[1] .. '/' .. ARGV[2], given)
return given
"""
"""Returns the number, or the incarnation that is known when the topic has grown since. A topic id alone is how version 0.1
wrote it."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a topic. `starts` is the first offset of each partition that belongs to it; zero where none is named."""

    number: int
    partitions: int
    starts: Mapping[int, int] = field(default_factory=dict)


def number(client: redis.Redis, namespace: str, topic: str, topic_id: str, partitions: int, floor: int = 0) -> int:
    """The epoch of this incarnation of a topic; the first to ask for a new one numbers it.

    Parameters
    ----------
    topic_id : Kafka's own id of the topic, new whenever the topic is created anew.
    floor : the highest epoch known elsewhere (the lake), so that a Redis that was emptied does not start at one again.

    Raises
    ------
    ConflictError : the topic has got other partitions by other ways than `begin`.
    """
    found = client.eval(_NUMBER, 1, keys.epoch(namespace, topic), topic_id, partitions, floor)
    if isinstance(found, bytes):
        before = found.decode().rpartition("/")[2]
        raise ConflictError(
            f"topic {topic!r} has {partitions} partitions, and its states were made from {before}, so members have moved "
            f"between partitions; stop its producers and run `python -m nearline repartition --partitions {partitions}`"
        )
    return int(cast("int", found))


def begin(client: redis.Redis, namespace: str, topic: str, topic_id: str, partitions: int, starts: Mapping[int, int]) -> int:
    """Begin the epoch of a topic that gets more partitions; its number. To be called before they are there, or repeated.

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
    marks = {f"{epoch}:{partition}": offset for partition, offset in starts.items()}
    for place in (keys.epoch_starts(namespace, topic), keys.watermark(namespace, topic)):
        client.hset(place, mapping=marks)
    client.hset(key, f"{topic_id}/{partitions}", epoch)
    return epoch


def _is_unused(incarnation: str, topic_id: str, present: int) -> bool:
    """Whether it was begun, and the topic never got the partitions."""
    known_id, _, partitions = incarnation.rpartition("/")
    return known_id == topic_id and int(partitions) > present


def is_known(client: redis.Redis, namespace: str, topic: str, topic_id: str, partitions: int) -> bool:
    """Whether this incarnation of a topic has its number."""
    return bool(client.hexists(keys.epoch(namespace, topic), f"{topic_id}/{partitions}"))


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
