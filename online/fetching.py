"""What a request needs of Redis, in one pipelined round trip: the arm's pointer, the member's state, candidates and fresh ones,
and what is trending where and when the member asks.

Nothing here raises: what cannot be had within the deadline, or cannot be read, is left out with a reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared import codecs, fresh, histories, keys, state, store, trending
from shared import fence as fences
from shared.config import Config
from shared.errors import SnapshotError
from shared.fence import Fence
from shared.fresh import FreshCandidates
from shared.histories import Seed
from shared.pages.answers import Fallback
from shared.pages.facts import Candidates, Facts
from shared.pages.request import Request
from shared.pages.serving import Indices, Scores, Serving
from shared.state import MemberState
from shared.trending import part_of_day

T = TypeVar("T")


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
            wanted.append("fresh")
            pipeline.hget(keys.fresh(self._namespace, member_id, serving.version), keys.BLOB_FIELD)
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
    # In a cluster, nodes fail one by one: what lies on the others was had.
    fallbacks = list(dict.fromkeys(_trouble(reply) for reply in replies.values() if isinstance(reply, Exception)))
    read = {name: reply for name, reply in replies.items() if reply is not None and not isinstance(reply, Exception)}

    def usable(name: str, decode: Callable[[Any], T]) -> T | None:
        try:
            return decode(read[name]) if name in read else None
        except SnapshotError as error:
            fallbacks.append(Fallback(f"{name}-unusable", str(error)))
            return None

    member_state, fence = usable("state", _read_state) or (state.EMPTY, {})
    retrieved, candidates = None, None
    if serving is not None:
        retrieved = usable("fresh", partial(_read_fresh, serving))
        candidates = usable("candidates", partial(_read_candidates, serving))
        if "candidates" not in read and retrieved is None and not fallbacks:
            fallbacks.append(Fallback("no-candidates", f"snapshot {serving.version} has no candidates for this member"))
    live = usable("trending", trending.decode)
    return Facts(
        pointer=read["pointer"].decode() if "pointer" in read else None,
        state=member_state,
        fence=fence,
        candidates=candidates,
        fresh=Candidates(retrieved.titles, retrieved.scores) if retrieved is not None and len(retrieved.titles) else None,
        seeds=_seeds(retrieved, member_state, fence),
        trending=live,
        fallbacks=tuple(fallbacks),
    )


def _read_state(stored: list[bytes | None]) -> tuple[MemberState, Fence]:
    blob, fence = stored
    return (state.decode(blob), fences.decode(fence)) if blob else (state.EMPTY, {})


def _trouble(error: Exception) -> Fallback:
    if isinstance(error, redis.exceptions.TimeoutError):
        return Fallback("redis-slow", f"a node of Redis did not answer in time: {error}")
    if isinstance(error, redis.exceptions.ConnectionError | redis.exceptions.ClusterError):
        return Fallback("redis-unreachable", str(error))
    return Fallback("redis-error", f"Redis refused a read: {error}")


def _read_candidates(serving: Serving, blob: bytes) -> Candidates | None:
    titles, scores = codecs.decode_candidates(blob)
    _check(titles, scores, serving, "a member's candidates")
    return Candidates(titles, scores) if len(titles) else None


def _read_fresh(serving: Serving, blob: bytes) -> FreshCandidates:
    read = fresh.decode(blob)
    if read.version != serving.version:
        raise SnapshotError(f"a member's fresh candidates are of snapshot {read.version!r}; {serving.version!r} is served")
    _check(read.titles, read.scores, serving, "a member's fresh candidates")
    return read


def _check(titles: Indices, scores: Scores, serving: Serving, what: str) -> None:
    if len(titles) and (titles.min() < 0 or titles.max() >= serving.count):
        raise SnapshotError(f"{what} name titles that snapshot {serving.version!r} does not have")
    if not np.isfinite(scores).all():
        raise SnapshotError(f"{what} have scores that are no numbers")


def _seeds(retrieved: FreshCandidates | None, member_state: MemberState, fence: Fence) -> tuple[Seed, ...]:
    """The seeds that are kept ready, where they are of this very state or it could not be read; else those of the state."""
    if retrieved is not None and fence in ({}, retrieved.fence):
        return retrieved.seeds
    return histories.seeds(member_state)
