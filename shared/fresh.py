"""Candidates that the nearline layer retrieved anew for a member, beside the precomputed ones in Redis.

They are fenced like the state that they were made from: a script compares fences, so a writer that was overtaken without
noticing (a worker that lost its partition, a reply that came late) cannot put older candidates in the place of newer ones.
Their key names the snapshot, whose title indices they hold, so a flip of the pointer leaves them behind; and they expire.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
import redis

from shared import codecs, keys
from shared import fence as fences
from shared.errors import SnapshotError
from shared.fence import Fence
from shared.histories import Seed

FRESH_VERSION = 1

Outcome = Literal["written", "overtaken", "gone"]
"""`overtaken`: there are candidates of a newer state. `gone`: the member has no state (any more), so nothing was written."""


@dataclass(frozen=True, slots=True)
class FreshCandidates:
    """One member's candidates at one state.

    Attributes
    ----------
    version : the snapshot whose indices and factors these are.
    fence : that of the state.
    made_at_ms : when, in Unix milliseconds.
    titles : (k,) int32 title indices, best first; none for a member whose history says nothing.
    scores : (k,) float32, on the scale of the member's precomputed candidates.
    seeds : what to name "Because You Watched" rows after, the newest first.
    """

    version: str
    fence: Fence
    made_at_ms: int
    titles: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]
    seeds: tuple[Seed, ...] = ()


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    version: str
    fence: bytes
    made_at_ms: int
    titles: bytes
    scores: bytes
    seeds: tuple[Seed, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Stored)


def encode(fresh: FreshCandidates) -> bytes:
    """The candidates as a sealed blob; see `shared.codecs`."""
    stored = _Stored(
        fresh.version,
        fences.encode(fresh.fence),
        fresh.made_at_ms,
        fresh.titles.astype("<i4").tobytes(),
        fresh.scores.astype("<f4").tobytes(),
        fresh.seeds,
    )
    return codecs.seal(FRESH_VERSION, _ENCODER.encode(stored))


def decode(blob: bytes) -> FreshCandidates:
    """Read what `encode` wrote; the arrays are read-only.

    Raises
    ------
    SnapshotError : the blob is corrupt or of another version.
    """
    body = codecs.unseal(blob, FRESH_VERSION, "a member's fresh candidates")
    try:
        stored = _DECODER.decode(body)
        titles, scores = np.frombuffer(stored.titles, "<i4"), np.frombuffer(stored.scores, "<f4")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise SnapshotError(f"a member's fresh candidates cannot be read: {error}") from None
    if len(titles) != len(scores):
        raise SnapshotError(f"a member's fresh candidates: {len(scores)} scores for {len(titles)} titles")
    return FreshCandidates(stored.version, fences.decode(stored.fence), stored.made_at_ms, titles, scores, stored.seeds)


class FreshWrite(NamedTuple):
    """One member's candidates to write, with the fence of their state as Redis had it."""

    member_id: str
    fence: bytes
    blob: bytes


_WRITE = """
if redis.call('EXISTS', KEYS[2]) == 0 then return 2 end
local function places(fence)
  local found = {}
  for topic, epoch, partition, offset in string.gmatch(fence, '([^=;]+)=(%d+):(%d+):(%d+)') do
    found[topic] = {tonumber(epoch), tonumber(partition), tonumber(offset)}
  end
  return found
end
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local ours = places(ARGV[1])
for topic, there in pairs(places(redis.call('HGET', KEYS[1], 'f') or '')) do
  local at = ours[topic]
  if not at or at[1] < there[1] or (at[1] == there[1] and at[2] == there[2] and at[3] < there[3]) then return 1 end
end
redis.call('HSET', KEYS[1], 'f', ARGV[1], 'b', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 0
"""
"""KEYS: the candidates' hash, the member's state. ARGV: fence, blob, seconds to keep it. 0 written, 1 overtaken (as
`Position.is_behind` has it), 2 no state."""

_OUTCOMES: tuple[Outcome, ...] = ("written", "overtaken", "gone")


class FreshStore:
    """Fresh candidates in Redis.

    Parameters
    ----------
    expire_s : how long they are kept.
    """

    def __init__(self, client: redis.Redis, namespace: str, expire_s: int) -> None:
        self._client = client
        self._namespace = namespace
        self._expire_s = expire_s

    def write(self, version: str, writes: Sequence[FreshWrite]) -> list[Outcome]:
        """Write some members' candidates of one snapshot in one round trip; what became of each.

        Raises
        ------
        redis.RedisError : Redis failed or refused; some may have been written.
        """
        pipeline = self._client.pipeline(transaction=False)
        for write in writes:
            names = keys.fresh(self._namespace, write.member_id, version), keys.state(self._namespace, write.member_id)
            # By its text and not its hash: a call a member, on that member's own keys, is what a Redis Cluster takes.
            pipeline.eval(_WRITE, 2, *names, write.fence, write.blob, self._expire_s)
        return [_OUTCOMES[reply] for reply in pipeline.execute()]

    def read(self, version: str, member_id: str) -> FreshCandidates | None:
        """A member's candidates of one snapshot; None without any.

        Raises
        ------
        SnapshotError : they are corrupt or of another version.
        """
        blob = cast("bytes | None", self._client.hget(keys.fresh(self._namespace, member_id, version), keys.BLOB_FIELD))
        return None if blob is None else decode(blob)
