"""What requests need of Redis, in one pipelined round trip: the arm's pointer, each member's state, candidates and fresh ones,
and what is trending where and when the member asks.

`ask` says which commands, `answer` makes facts of their replies; neither touches a socket, so a call in a thread, one in an
event loop and one for many members differ in the read between them alone. Nothing here raises: what cannot be had within the
deadline, or cannot be read, is left out with a reason.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from online.reading import Avoided, Overloaded
from online.resp import Command, ReadError, TimedOut, Unreachable
from shared import codecs, fresh, histories, keys, state, trending
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
from shared.trending import Trending, part_of_day

T = TypeVar("T")


_TRENDING: deque[tuple[bytes, Trending]] = deque(maxlen=8)


class Wanted(NamedTuple):
    """One request and what it needs: the snapshot that it answers from, and whether it shows what is trending."""

    request: Request
    serving: Serving | None
    arm: str
    is_page: bool


class Question(NamedTuple):
    """The commands of one request, and what each asks for."""

    wanted: Wanted
    names: tuple[str, ...]
    commands: list[Command]
    trending_expire_s: int


class Asker:
    """Makes the questions of requests under one configuration. Keeps nothing between requests."""

    def __init__(self, config: Config) -> None:
        self._namespace = config.redis.namespace
        self._trending = config.trending

    def ask(self, wanted: Wanted) -> Question:
        """What to send for one request."""
        request, serving = wanted.request, wanted.serving
        namespace, member_id = self._namespace, request.member_id
        names = ["pointer", "state"]
        commands: list[Command] = [
            (b"HGET", keys.pointer(namespace, wanted.arm), keys.CURRENT_FIELD),
            (b"HMGET", keys.state(namespace, member_id), keys.STATE_FIELD, keys.FENCE_FIELD),
        ]
        if serving is not None:
            names += "candidates", "fresh"
            commands.append((b"GET", keys.candidates(namespace, member_id, serving.version)))
            commands.append((b"HGET", keys.fresh(namespace, member_id, serving.version), keys.BLOB_FIELD))
        if wanted.is_page:
            names.append("trending")
            part = part_of_day(self._trending, request.country, request.now_ms)
            commands.append((b"GET", keys.trending(namespace, request.country, part)))
        return Question(wanted, tuple(names), commands, self._trending.expire_s)


def answer(question: Question, replies: Sequence[Any]) -> Facts:
    """The facts in the replies to one question."""
    facts = read_replies(dict(zip(question.names, replies, strict=True)), question.wanted.serving)
    if facts.trending is not None and not facts.trending.is_fresh(question.wanted.request.now_ms, question.trending_expire_s):
        return replace(facts, trending=None)
    return facts


def facts_without(error: ReadError, limit_ms: float) -> Facts:
    """What is known when Redis gave no replies: why."""
    if isinstance(error, Avoided):
        return Facts(fallbacks=(Fallback("redis-avoided", str(error)),))
    if isinstance(error, Overloaded):
        return Facts(fallbacks=(Fallback("overloaded", str(error)),))
    if isinstance(error, TimedOut):
        return Facts(fallbacks=(Fallback("redis-slow", f"Redis did not answer within {limit_ms:g} ms"),))
    return Facts(fallbacks=(Fallback("redis-unreachable", str(error)),))


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
    live = usable("trending", _read_trending)
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
    if isinstance(error, TimedOut):
        return Fallback("redis-slow", f"a node of Redis did not answer in time: {error}")
    if isinstance(error, Unreachable):
        return Fallback("redis-unreachable", str(error))
    return Fallback("redis-error", f"Redis refused a read: {error}")


def _read_trending(blob: bytes) -> Trending:
    """What is trending; the same for all members of a country, so that the last few are not read again."""
    for known, read in tuple(_TRENDING):
        if known == blob:
            return read
    read = trending.decode(blob)
    _TRENDING.appendleft((blob, read))
    return read


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
