"""Members waiting for fresh candidates, in Redis: a sorted set a partition, so that a crash forgets none of them.

A member is put here before the watermark moves past the record that asked, and taken out once the candidates are written; so
whoever owns the partition next finds what was left undone. The score is the record's offset: a member who asks again while
candidates are being made has another score, and stays.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple, cast

import redis

from nearline.records import Place
from shared import keys

_REMOVE = """
for index = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[index]) or '-1') == tonumber(ARGV[index + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[index])
  end
end
return 1
"""


class Waiting(NamedTuple):
    """A member for whom a record asked."""

    place: Place
    member_id: str
    offset: int


class SignalSets:
    """The waiting members of all partitions. Each call is one round trip.

    Parameters
    ----------
    expire_s : a partition's set goes when nobody was added for so long: while snapshots come without factors, for one.
    """

    def __init__(self, client: redis.Redis, namespace: str, expire_s: int) -> None:
        self._client = client
        self._namespace = namespace
        self._expire_s = expire_s

    def add(self, asked: Mapping[Place, Mapping[str, int]]) -> None:
        """Let members wait: for each partition member id to the offset of the newest record that asked."""
        pipeline = self._client.pipeline(transaction=False)
        for place, members in asked.items():
            key = self._key(place)
            pipeline.zadd(key, dict(members))
            pipeline.expire(key, self._expire_s)
        pipeline.execute()

    def oldest(self, place: Place, count: int) -> list[Waiting]:
        """Up to so many members of a partition, those who have waited longest first."""
        found = cast("list[tuple[bytes, float]]", self._client.zrange(self._key(place), 0, count - 1, withscores=True))
        return [Waiting(place, member_id.decode(), int(offset)) for member_id, offset in found]

    def remove(self, done: Iterable[Waiting]) -> None:
        """Let members go, but for those who have asked again since."""
        pipeline = self._client.pipeline(transaction=False)
        for place, members in groupby(sorted(done, key=_by_place), key=lambda waiting: waiting.place):
            arguments = [part for waiting in members for part in (waiting.member_id, waiting.offset)]
            pipeline.eval(_REMOVE, 1, self._key(place), *arguments)
        pipeline.execute()

    def _key(self, place: Place) -> str:
        return keys.signals(self._namespace, place.topic, place.partition)


def _by_place(waiting: Waiting) -> tuple[str, int]:
    return waiting.place.topic, waiting.place.partition
