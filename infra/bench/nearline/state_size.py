"""How large a member's state is: full to the bound of every part, and on the mean after a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from infra.bench.nearline.history import past_play
from infra.bench.nearline.workload import START_MS
from infra.bench.report import Row
from shared import events, keys, state, store
from shared.config import Config
from shared.events import Feedback, FeedbackKind, Play
from shared.state import EMPTY, MemberState

MEMBER = "67b9cee7d7088a9d"
FILL = 2000
"""Titles of each kind that a member must have been given for every part to be full."""


@dataclass(frozen=True)
class Sizes:
    """Of the states in Redis after a run."""

    members: int
    mean_bytes: float
    greatest_bytes: int
    redis_bytes: float  # what Redis needs for one: state, fence, key and overhead, on the mean


def in_redis(config: Config, member_ids: Sequence[str]) -> Sizes:
    """Look at the states of those members who have one."""
    with store.connect(config.redis) as client, store.reachable(config.redis):
        pipeline = client.pipeline(transaction=False)
        for member_id in member_ids:
            key = keys.state(config.redis.namespace, member_id)
            pipeline.hstrlen(key, cast("Any", keys.STATE_FIELD))
            pipeline.memory_usage(key)
        replies = pipeline.execute()
    pairs = [(size, used) for size, used in zip(replies[::2], replies[1::2], strict=True) if size]
    sizes = [size for size, _ in pairs]
    return Sizes(len(sizes), sum(sizes) / len(sizes), max(sizes), sum(used for _, used in pairs) / len(pairs))


def full_state(titles: int = FILL) -> MemberState:
    """The state of a member who has finished, begun, thumbed and listed this many titles each."""
    log: list[Play | Feedback] = []
    for nth in range(titles):
        log.append(past_play(MEMBER, f"tt{nth:07}", nth, share=0.97))  # finished, and long ago …
        log.append(past_play(MEMBER, f"tt{titles + nth:07}", nth, before_ms=START_MS + titles * 86_400_000, share=0.4))
        log.append(_feedback(nth, "thumbs_up" if nth % 3 else "thumbs_down"))
        log.append(_feedback(nth, "list_add" if nth % 3 else "list_remove"))
    return state.fold(EMPTY, log)


def _feedback(nth: int, kind: FeedbackKind) -> Feedback:
    return Feedback(
        schema=events.SCHEMA_VERSION,
        event_id=f"{nth:08x}-fbac-4c7e-8f2a-{nth:012x}",
        member_id=MEMBER,
        title_id=f"tt{nth:07}",
        kind=kind,
        at_ms=START_MS + nth * 1000,
    )


def rows(found: Sizes | None) -> list[Row]:
    """The size at the bound, shown to be one by giving the member more, and the sizes of a run."""
    full, more = state.encode(full_state()), state.encode(full_state(2 * FILL))
    entries = len(state.decode(full).played)
    made = [
        Row(
            "state at the bound of every part",
            f"{len(full):,} bytes a member ({entries} titles played last, and every mark)",
            "bounded",
            len(more) <= len(full) * 1.01,  # ids and times may need a byte more
            {"bytes": len(full), "bytes_with_twice_the_events": len(more)},
        )
    ]
    if found is not None:
        figure = f"{found.mean_bytes:,.0f} bytes on the mean, {found.greatest_bytes:,} at most, of {found.members:,} members"
        made.append(Row("  in the realistic workload", f"{figure}; {found.redis_bytes:,.0f} in Redis with key and fence"))
    return made
