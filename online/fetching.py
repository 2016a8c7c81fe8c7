"""What a request needs of Redis, in one pipelined round trip: the arm's pointer, the member's state, and their candidates.

Nothing here raises: what cannot be had within the deadline, or cannot be read, is left out with a reason.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from online.answers import Fallback
from online.serving import Indices, Scores, Serving
from shared import codecs, keys, state, store
from shared import fence as fences
from shared.config import Config
from shared.errors import SnapshotError
from shared.fence import Fence
from shared.state import MemberState


@dataclass(frozen=True, slots=True)
class Candidates:
    """A member's precomputed candidates: title indices (k,) of the snapshot and their scores (k,), best first."""

    titles: Indices
    scores: Scores


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a member at the time of a request. `fallbacks` names what could not be had."""

    pointer: str | None = None
    state: MemberState = state.EMPTY
    fence: Fence = field(default_factory=dict)
    candidates: Candidates | None = None
    fallbacks: tuple[Fallback, ...] = ()


class Fetcher:
    """Reads of one arm. Thread-safe: each thread gets a connection of the pool."""

    def __init__(self, config: Config) -> None:
        # Half of the deadline for a new connection and half for the reply: a reconnecting request keeps to it too.
        limit_s = min(config.redis.timeout_s, config.online.deadline_ms / 2000)
        self._client = store.connect(msgspec.structs.replace(config.redis, timeout_s=limit_s))
        # A connection that the server closed is opened anew once; a timeout is not tried again, its time is spent.
        self._client.set_retry(Retry(NoBackoff(), 1, (redis.exceptions.ConnectionError,)))
        self._namespace = config.redis.namespace
        self._pointer_key = keys.pointer(self._namespace, config.online.arm)
        self._limit_ms = config.online.deadline_ms

    def fetch(self, member_id: str, serving: Serving | None) -> Facts:
        """Everything about one member.

        Parameters
        ----------
        serving : the snapshot that this request answers from; the candidates are those of its version.
        """
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hget(self._pointer_key, keys.CURRENT_FIELD)
        pipeline.hmget(keys.state(self._namespace, member_id), [keys.STATE_FIELD, keys.FENCE_FIELD])
        if serving is not None:
            pipeline.get(keys.candidates(self._namespace, member_id, serving.version))
        try:
            replies = pipeline.execute(raise_on_error=False)
        except redis.exceptions.TimeoutError:
            return Facts(fallbacks=(Fallback("redis-slow", f"Redis did not answer within {self._limit_ms:g} ms"),))
        except redis.exceptions.RedisError as error:
            return Facts(fallbacks=(Fallback("redis-unreachable", str(error)),))
        return read_replies(replies, serving)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def read_replies(replies: list[Any], serving: Serving | None) -> Facts:
    """The facts in the replies to pointer, state and candidates; one that is an error or unreadable is left out."""
    fallbacks: list[Fallback] = [
        Fallback("redis-error", f"Redis refused a read: {reply}") for reply in replies if isinstance(reply, Exception)
    ]
    pointer, stored, blob = [None if isinstance(reply, Exception) else reply for reply in (*replies, None)[:3]]
    member_state, fence = state.EMPTY, Fence()
    try:
        if stored is not None and stored[0]:
            member_state, fence = state.decode(stored[0]), fences.decode(stored[1])
    except SnapshotError as error:
        fallbacks.append(Fallback("state-unusable", str(error)))
    candidates = None
    try:
        if blob is not None and serving is not None:
            candidates = _read_candidates(blob, serving)
        elif serving is not None and not fallbacks:
            fallbacks.append(Fallback("no-candidates", f"snapshot {serving.version} has no candidates for this member"))
    except SnapshotError as error:
        fallbacks.append(Fallback("candidates-unusable", str(error)))
    return Facts(
        pointer=pointer.decode() if pointer else None,
        state=member_state,
        fence=fence,
        candidates=candidates,
        fallbacks=tuple(fallbacks),
    )


def _read_candidates(blob: bytes, serving: Serving) -> Candidates | None:
    titles, scores = codecs.decode_candidates(blob)
    if not len(titles):
        return None
    if titles.min() < 0 or titles.max() >= serving.count:
        raise SnapshotError(f"a member's candidates name titles that snapshot {serving.version!r} does not have")
    if not np.isfinite(scores).all():
        raise SnapshotError("a member's candidates have scores that are no numbers")
    return Candidates(titles, scores)
