"""The end of the demo: one member's page, a title played through Kafka, and how long until the page shows it."""

import time
import uuid
from dataclasses import dataclass

from kafka import KafkaProducer

from online import Page, Recommender
from shared import events
from shared.config import Config
from shared.errors import UnavailableError
from shared.events import Play

PLAYED_SHARE = 0.6
"""How far the live play gets: far enough to say something about taste, with something left to continue."""
POLL_S = 0.002
GIVE_UP_S = 20.0


@dataclass(frozen=True)
class Change:
    """A page before and after a live play, and the time between Kafka's acknowledgement and the changed page."""

    before: Page
    after: Page
    title: str
    seconds: float


def play_live(config: Config, recommender: Recommender, member_id: str, country: str | None) -> Change:
    """Play a title from the member's Top Picks through Kafka and wait for the page to show it.

    Raises
    ------
    UnavailableError : Kafka did not acknowledge the play, or the page did not change in time.
    """
    before = recommender.page(member_id, country=country)
    picks = next((row for row in before.rows if row.key == "top-picks"), before.rows[0])
    chosen = picks.cells[min(2, len(picks.cells) - 1)]
    play = Play(
        schema=events.SCHEMA_VERSION,
        event_id=uuid.uuid4().hex,
        member_id=member_id,
        title_id=chosen.title_id,
        kind="stop",
        session_id=uuid.uuid4().hex[:12],
        at_ms=int(time.time() * 1000),
        position_s=round(chosen.runtime_s * PLAYED_SHARE, 1),
        runtime_s=chosen.runtime_s,
        watched_s=round(chosen.runtime_s * PLAYED_SHARE, 1),
        device="tv",
        country=country or "ZZ",
        page_id=before.page_id,
        row=chosen.row,
        rank=chosen.rank,
    )
    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers, acks="all")
    try:
        sent = producer.send(config.kafka.plays_topic, key=member_id.encode(), value=events.encode(play))
        sent.get(timeout=config.kafka.timeout_s)
        acknowledged_s = time.perf_counter()
    finally:
        producer.close(timeout=config.kafka.timeout_s)
    while time.perf_counter() - acknowledged_s < GIVE_UP_S:
        after = recommender.page(member_id, country=country)
        if any(cell.progress is not None and cell.title_id == chosen.title_id for row in after.rows for cell in row.cells):
            return Change(before, after, chosen.name, time.perf_counter() - acknowledged_s)
        time.sleep(POLL_S)
    raise UnavailableError(f"the page of {member_id!r} did not show the live play within {GIVE_UP_S:g} s")
