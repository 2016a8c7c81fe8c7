"""Invented events for tests of the stream: seeded, with the repeats, delays and ties that real streams have."""

import random
from dataclasses import dataclass, field
from typing import Any

from shared import events, state, store
from shared.config import Config
from shared.errors import EventError
from shared.events import Feedback, Play
from shared.state import EMPTY

START_MS = 1_700_000_000_000


def play(member: str, number: int, *, title: str = "t1", at_ms: int = START_MS, position_s: float = 60.0) -> Play:
    """One play report."""
    return Play(
        schema=1,
        event_id=f"p{number}",
        member_id=member,
        title_id=title,
        kind="progress",
        session_id=f"s{number // 7}",
        at_ms=at_ms,
        position_s=position_s,
        runtime_s=100.0,
        watched_s=30.0,
        device="tv",
        country="US",
    )


@dataclass
class EventLog:
    """Events as they are sent to Kafka, in order: topic, key, value."""

    config: Config
    records: list[tuple[str, bytes | None, bytes | None]] = field(default_factory=list)

    def add(self, event: Play | Feedback) -> None:
        """Append a valid event to its topic."""
        kafka = self.config.kafka
        topic = kafka.plays_topic if isinstance(event, Play) else kafka.feedback_topic
        self.records.append((topic, event.member_id.encode(), events.encode(event)))

    def invent(self, count: int, members: int, seed: int) -> None:
        """Append plays and some feedback: late ones, repeated ones, several at one time."""
        draw = random.Random(seed)
        for number in range(count):
            member = f"m{draw.randrange(members)}"
            at_ms = START_MS + number * 10 - draw.choice((0, 0, 0, 5_000, 60_000)) // 10 * 10
            title = f"t{draw.randrange(40)}"
            if draw.random() < 0.05:
                kind: Any = draw.choice(["thumbs_up", "thumbs_down", "list_add", "list_remove"])
                self.add(
                    Feedback(schema=1, event_id=f"f{seed}-{number}", member_id=member, title_id=title, kind=kind, at_ms=at_ms)
                )
            else:
                self.add(play(member, number, title=title, at_ms=at_ms, position_s=draw.choice((1.0, 30.0, 60.5, 95.0))))
            if draw.random() < 0.05:
                self.records.append(draw.choice(self.records[-200:]))

    def send(self) -> None:
        """Send everything with a real producer, and wait for Kafka to have it."""
        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers=self.config.kafka.bootstrap_servers)
        try:
            sent = [producer.send(topic, key=key, value=value) for topic, key, value in self.records]
            producer.flush(timeout=60)
            for future in sent:
                future.get(timeout=1)
        finally:
            producer.close(timeout=10)

    def oracle(self) -> dict[str, bytes]:
        """What each member's state must be: a plain fold of all that can be read."""
        found: dict[str, list[Play | Feedback]] = {}
        for topic, key, value in self.records:
            decode: Any = events.decode_play if topic == self.config.kafka.plays_topic else events.decode_feedback
            try:
                event = decode(value, key)
            except EventError:
                continue
            found.setdefault(event.member_id, []).append(event)
        return {member: state.encode(state.fold(EMPTY, log)) for member, log in found.items()}


def states_in_redis(config: Config, members: list[str]) -> dict[str, bytes]:
    """The states that Redis has of some members."""
    with store.connect(config.redis) as client:
        stored = store.StateStore(client, config.redis.namespace).read(members)
    return {member: entry.state for member, entry in zip(members, stored, strict=True)}
