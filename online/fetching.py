"""What a request needs of Redis, in one pipelined round trip: the arm's pointer, the member's state and candidates, and what is
trending where and when the member asks.

Nothing here raises: what cannot be had within the deadline, or cannot be read, is left out with a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from online.answers import Fallback
from online.requesting import Request
from online.serving import Indices, Scores, Serving
from shared import codecs, keys, state, store, trending
from shared import fence as fences
from shared.config import Config
from shared.errors import SnapshotError
from shared.fence import Fence
from shared.state import MemberState
from shared.trending import Trending, part_of_day


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
    trending: Trending | None = None
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
        self._trending = config.trending

    def fetch(self, member_id: str, serving: Serving | None, page: Request | None = None) -> Facts:
        """Everything about one member.

        Parameters
        ----------
        serving : the snapshot that this request answers from; the candidates are those of its version.
        page : the request for a page, which shows what is trending too; None where that is not wanted.
        """
        wanted = ["pointer", "state"]
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hget(self._pointer_key, keys.CURRENT_FIELD)
        pipeline.hmget(keys.state(self._namespace, member_id), [keys.STATE_FIELD, keys.FENCE_FIELD])
        if serving is not None:
            wanted.append("candidates")
            pipeline.get(keys.candidates(self._namespace, member_id, serving.version))
        if page is not None:
            wanted.append("trending")
            part = part_of_day(self._trending, page.country, page.now_ms)
            pipeline.get(keys.trending(self._namespace, page.country, part))
        try:
            replies = pipeline.execute(raise_on_error=False)
        except redis.exceptions.TimeoutError:
            return Facts(fallbacks=(Fallback("redis-slow", f"Redis did not answer within {self._limit_ms:g} ms"),))
        except redis.exceptions.RedisError as error:
            return Facts(fallbacks=(Fallback("redis-unreachable", str(error)),))
        facts = read_replies(dict(zip(wanted, replies, strict=True)), serving)
        if page is not None and facts.trending is not None and not facts.trending.is_fresh(page.now_ms, self._trending.expire_s):
            return replace(facts, trending=None)
        return facts

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def read_replies(replies: Mapping[str, Any], serving: Serving | None) -> Facts:
    """The facts in the replies, by what was asked for; one that is an error or unreadable is left out."""
    fallbacks: list[Fallback] = [
        Fallback("redis-error", f"Redis refused a read: {reply}") for reply in replies.values() if isinstance(reply, Exception)
    ]
    read = {name: reply for name, reply in replies.items() if not isinstance(reply, Exception)}
    pointer, stored, blob = read.get("pointer"), read.get("state"), read.get("candidates")
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
    live = None
    try:
        if read.get("trending") is not None:
            live = trending.decode(read["trending"])
    except SnapshotError as error:
        fallbacks.append(Fallback("trending-unusable", str(error)))
    return Facts(
        pointer=pointer.decode() if pointer else None,
        state=member_state,
        fence=fence,
        candidates=candidates,
        trending=live,
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
