"""Gives members a past before a run, as members of a service have one."""

from collections.abc import Iterator

from infra.bench.nearline.workload import REPORT_S, START_MS, Workload
from shared import events, state, store
from shared.config import Config
from shared.events import Play
from shared.store import StateStore


def install_history(config: Config, workload: Workload, titles: int) -> None:
    """Install a state with so many titles played for every member, all before the workload begins."""
    with store.connect(config.redis) as client, store.reachable(config.redis):
        StateStore(client, config.redis.namespace).install(_states(workload, titles))


def _states(workload: Workload, titles: int) -> Iterator[tuple[str, bytes, bytes]]:
    known = workload.title_ids()
    for number, member in enumerate(workload.member_ids()):
        played = [past_play(member, known[(number + 7 * nth) % len(known)], nth) for nth in range(titles)]
        yield member, state.encode(state.fold(state.EMPTY, played)), b""


def past_play(member_id: str, title_id: str, nth: int, *, before_ms: int = START_MS, share: float | None = None) -> Play:
    """A viewing's last report, the `nth` before a time. `share`: how much was watched; by default to the end half the time."""
    runtime_s = 5400.0
    watched = share if share is not None else (0.97 if nth % 2 else 0.4)
    return Play(
        schema=events.SCHEMA_VERSION,
        event_id=f"{nth:08x}-0000-4c7e-8f2a-{nth:012x}",
        member_id=member_id,
        title_id=title_id,
        kind="stop",
        session_id=f"{nth:08x}-5e55-4a0b-9c1d-{nth:012x}",
        at_ms=before_ms - (nth + 1) * 86_400_000,
        position_s=runtime_s * watched,
        runtime_s=runtime_s,
        watched_s=REPORT_S,
        device="tv",
        country="US",
    )
