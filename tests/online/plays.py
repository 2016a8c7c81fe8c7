"""Plays and thumbs for tests, and the way they get into Redis: through the reducer and the fenced store."""

import redis

from shared import fence as fences
from shared import state
from shared.events import Feedback, FeedbackKind, Play
from shared.fence import Position
from shared.store import StateStore, StateWrite
from tests.online.snapshot_builder import NOW_MS


def play(title_id: str, share: float, *, at_ms: int = NOW_MS - 60_000, member_id: str = "m0", runtime_s: float = 5400.0) -> Play:
    """One report of a title watched up to a share of it."""
    return Play(
        schema=1,
        event_id=f"{title_id}@{at_ms}",
        member_id=member_id,
        title_id=title_id,
        kind="progress",
        session_id="s1",
        at_ms=at_ms,
        position_s=share * runtime_s,
        runtime_s=runtime_s,
        watched_s=60.0,
        device="tv",
        country="US",
    )


def thumb(title_id: str, up: bool, *, at_ms: int = NOW_MS - 50_000, member_id: str = "m0") -> Feedback:
    """A thumb up or down."""
    kind: FeedbackKind = "thumbs_up" if up else "thumbs_down"
    return Feedback(schema=1, event_id=f"{title_id}#{at_ms}", member_id=member_id, title_id=title_id, kind=kind, at_ms=at_ms)


def write_events(client: redis.Redis, namespace: str, member_id: str, *events: Play | Feedback) -> None:
    """Fold events into the member's state in Redis, as the nearline worker does."""
    store = StateStore(client, namespace)
    (now,) = store.read([member_id])
    member_state, fence = now.decode()
    offset = fence["plays"].offset + len(events) if "plays" in fence else len(events)
    fences.advance(fence, "plays", Position(1, 0, offset))
    blob = state.encode(state.fold(member_state, events))
    assert store.write([StateWrite(member_id, now.fence, fences.encode(fence), blob)]) == [None]
