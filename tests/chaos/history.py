"""The events of one run: seeded, most of them visible in the final state, with repeats, late ones and unreadable ones."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaProducer

from shared import events
from shared.config import Config
from shared.errors import EventError
from shared.events import Feedback, Impression, Play
from shared.state import EMPTY, encode, fold
from tests.nearline.trending_log import Counts, TrendingLog, page_of

_DAY_MS = 24 * 3_600_000
START_MS = time.time_ns() // 1_000_000 // _DAY_MS * _DAY_MS - _DAY_MS // 4
"""The evening before today: trending counts nothing old, and a seed gives the same events all day."""
SEND_LIMIT_S = 60.0

Record = tuple[str, bytes | None, bytes | None]  # topic, key, value


@dataclass
class History:
    """Records in the order in which they are sent, and where Kafka put them."""

    config: Config
    records: list[Record] = field(default_factory=list)
    places: list[tuple[str, int, int]] = field(default_factory=list)  # of those sent: topic, partition, offset
    arrived_ms: list[int] = field(default_factory=list)
    _producer: KafkaProducer | None = None

    def invent(self, count: int, members: int, seed: int) -> None:
        """Append records. Titles rarely come twice to a member, so that nearly every event can be seen in its state."""
        draw = random.Random(seed)
        for number in range(count):
            member = f"m{draw.randrange(members)}"
            at_ms = START_MS + number * 10 - draw.choice((0, 0, 0, 5_000, 60_000))
            title = f"t{draw.randrange(20)}" if draw.random() < 0.2 else f"u{number}"
            event: Play | Feedback
            if draw.random() < 0.06:
                kind: Any = draw.choice(["thumbs_up", "thumbs_down", "list_add", "list_remove"])
                event = Feedback(schema=1, event_id=f"f{number}", member_id=member, title_id=title, kind=kind, at_ms=at_ms)
            else:
                event = _play(draw, number, member, title, at_ms)
            topic = self.config.kafka.plays_topic if isinstance(event, Play) else self.config.kafka.feedback_topic
            self.records.append((topic, member.encode(), events.encode(event)))
            if isinstance(event, Play) and event.page_id is not None:
                self._show(draw, event)
            if draw.random() < 0.05:
                self.records.append(draw.choice(self.records[-200:]))
            if draw.random() < 0.01:
                self.records.append((topic, member.encode(), draw.choice((b"{", b"[]", b'{"schema":9}', b"\xff"))))

    def _show(self, draw: random.Random, play: Play) -> None:
        """Append the page that a play came from, before or after it."""
        titles = {play.title_id, *(f"t{draw.randrange(20)}" for _ in range(draw.randrange(6)))}
        at_ms = play.at_ms - draw.randrange(60_000)
        page = page_of(play.member_id, str(play.page_id), sorted(titles), at_ms=at_ms, country=play.country)
        record = (self.config.kafka.impressions_topic, play.member_id.encode(), events.encode(page))
        self.records.insert(len(self.records) - draw.randint(0, min(50, len(self.records))), record)

    def send(self, upto: float = 1.0) -> None:
        """Send the records not sent yet, up to a share of them all, and wait for Kafka to have them."""
        due = self.records[len(self.places) : round(upto * len(self.records))]
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self.config.kafka.bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                retry_backoff_ms=100,
            )
        sent = [self._producer.send(topic, key=key, value=value) for topic, key, value in due]
        self._producer.flush(timeout=SEND_LIMIT_S)
        for future in sent:
            at = future.get(timeout=1)
            self.places.append((at.topic, at.partition, at.offset))
            self.arrived_ms.append(at.timestamp)

    def close(self) -> None:
        """Let go of the connection to Kafka."""
        if self._producer is not None:
            self._producer.close(timeout=10)
            self._producer = None

    def ends(self) -> dict[tuple[str, int], int]:
        """Of each partition sent to, the offset after its last record."""
        found: dict[tuple[str, int], int] = {}
        for topic, partition, offset in self.places:
            found[topic, partition] = max(offset + 1, found.get((topic, partition), 0))
        return found

    def judge(self) -> "Expected":
        """What must be in Redis, and on the dead-letter topic, once all that was sent has had its effect."""
        decoders: dict[str, Any] = {
            self.config.kafka.plays_topic: events.decode_play,
            self.config.kafka.feedback_topic: events.decode_feedback,
            self.config.kafka.impressions_topic: events.decode_impression,
        }
        trending = TrendingLog()
        found: dict[str, list[Play | Feedback]] = {}
        counts: dict[str, Counter[str]] = {}
        unreadable: set[tuple[str, int, int]] = set()
        for (topic, key, value), place, at_ms in zip(self.records, self.places, self.arrived_ms, strict=False):
            try:
                event = decoders[topic](value, key, at_ms)
            except EventError:
                unreadable.add(place)
                continue
            if isinstance(event, Impression) or (isinstance(event, Play) and event.kind == "start"):
                trending.add(event)
            if isinstance(event, Impression):
                continue
            found.setdefault(event.member_id, []).append(event)
            counts.setdefault(event.member_id, Counter())[topic] += 1
        states = {member: encode(fold(EMPTY, log)) for member, log in found.items()}
        return Expected(states, counts, trending.oracle(self.config), unreadable)


@dataclass(frozen=True)
class Expected:
    """The plain fold of a log.

    Attributes
    ----------
    states : of each member, as bytes.
    counts : records that can be read, by member and topic.
    trending : impressions, takes and starts, as sets count them.
    unreadable : coordinates of the records that cannot be read.
    """

    states: dict[str, bytes]
    counts: dict[str, Counter[str]]
    trending: Counts
    unreadable: set[tuple[str, int, int]]


def _play(draw: random.Random, number: int, member: str, title: str, at_ms: int) -> Play:
    return Play(
        schema=1,
        event_id=f"p{number}",
        member_id=member,
        title_id=title,
        kind=draw.choice(("start", "progress", "stop")),
        session_id=f"s{number // 7}",
        at_ms=at_ms,
        position_s=draw.choice((1.0, 30.0, 60.5, 95.0)),
        runtime_s=100.0,
        watched_s=30.0,
        device="tv",
        country=("US", "DE")[int(member[1:]) % 2],
        page_id=f"page{number}" if draw.random() < 0.3 else None,
    )
