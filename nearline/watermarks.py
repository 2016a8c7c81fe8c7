"""How far into each partition the effects are all in Redis, written there after the members' states.

Kafka's committed offset can be ahead of what Redis still has after a crash, because Redis syncs its log once a second. The
watermark lies in the same log behind the states that it vouches for: whatever Redis lost, it lost the watermark too. So a
worker starts from the lower of the two, and one whose Redis went back under it notices.
"""

from collections.abc import Mapping
from typing import cast

import redis

from nearline.records import Place
from shared import keys
from shared.errors import UnavailableError

_RAISE = """
for index = 1, #ARGV, 2 do
  local there = tonumber(redis.call('HGET', KEYS[1], ARGV[index]) or '0')
  if tonumber(ARGV[index + 1]) > there then redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
end
return 1
"""
"""A worker that lost its partition without noticing must not pull the mark of its successor back."""


class LostWritesError(UnavailableError):
    """Redis has less than this worker had written: it came back without its newest writes, or was emptied."""


class Watermarks:
    """The watermarks of some topics. Called from one thread at a time.

    Parameters
    ----------
    epochs : topic to its epoch.
    """

    def __init__(self, client: redis.Redis, namespace: str, epochs: Mapping[str, int]) -> None:
        self._client = client
        self._namespace = namespace
        self._epochs = epochs
        self._known: dict[Place, int] = {}

    def resume(self, place: Place, committed: int | None) -> int:
        """The offset to start a partition from: the lower of the committed one and the watermark.

        A side that knows nothing counts as zero: then all of this epoch that Kafka still has is read again, and what the
        states have seen is dropped. What lies before the epoch's start had its effect when the topic got more partitions.
        """
        there = self._read([place])[place]
        self._known[place] = there
        start = cast("bytes | None", self._client.hget(keys.epoch_starts(self._namespace, place.topic), self._field(place)))
        return max(int(start or 0), min(there, committed or 0))

    def check(self, place_offsets: Mapping[Place, int]) -> None:
        """Make sure that Redis still has what this worker wrote.

        Raises
        ------
        LostWritesError : it does not; the partitions must be read again from their watermarks.
        """
        for place, there in self._read(list(place_offsets)).items():
            known = self._known.get(place, 0)
            if there < known:
                raise LostWritesError(
                    f"Redis lost its newest writes: the watermark of {place.topic}/{place.partition} went back from "
                    f"{known} to {there}; start the worker again, and it resumes from there"
                )

    def advance(self, place_offsets: Mapping[Place, int]) -> None:
        """Declare that the effects of all records before these offsets are in Redis."""
        for topic in {place.topic for place in place_offsets}:
            offsets = {place: offset for place, offset in place_offsets.items() if place.topic == topic}
            arguments = [part for place, offset in offsets.items() for part in (self._field(place), str(offset))]
            self._client.eval(_RAISE, 1, keys.watermark(self._namespace, topic), *arguments)
        for place, offset in place_offsets.items():
            self._known[place] = max(offset, self._known.get(place, 0))

    def _read(self, places: list[Place]) -> dict[Place, int]:
        found: dict[Place, int] = {}
        for topic in {place.topic for place in places}:
            wanted = [place for place in places if place.topic == topic]
            fields = [self._field(place) for place in wanted]
            replies = cast("list[bytes | None]", self._client.hmget(keys.watermark(self._namespace, topic), fields))
            found |= {place: int(reply or 0) for place, reply in zip(wanted, replies, strict=True)}
        return found

    def _field(self, place: Place) -> str:
        return f"{self._epochs[place.topic]}:{place.partition}"
