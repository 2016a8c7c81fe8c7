"""Records that cannot be read, put aside on a topic of their own with where they lay and why.

A dead letter is acknowledged by Kafka before the record's offset is committed. A worker that dies in between writes it
again: its coordinates name it, so a reader can tell. `python -m nearline dead-letters` reads them, and sends records that can
be read by now to their topic once more; a mark, which is a letter of the same coordinates, remembers that.
"""

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nearline import metrics
from nearline.records import Record, Source
from shared import topics
from shared.config import KafkaConfig

KEPT_BYTES = 16 * 1024
"""Of a key or a value, no more than this is kept; the record itself stays on its own topic."""
LOGGED = 3
"""Of the letters sent together so many are told in the log; all of them are counted."""

log = logging.getLogger(__name__)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the dead-letter topic, as JSON."""

    schema: int = 1
    topic: str
    epoch: int
    partition: int
    offset: int
    reason: str
    key: str | None  # base64, of the first KEPT_BYTES
    value: str | None  # base64, of the first KEPT_BYTES
    value_bytes: int | None  # length of the whole value
    replayed: str | None = None  # of a mark: the coordinates of the record that was sent in place of this one

    @property
    def coordinates(self) -> str:
        """How people name the record: `topic/partition@offset`."""
        return f"{self.topic}/{self.partition}@{self.offset}"

    @staticmethod
    def of(
        topic: str, epoch: int, partition: int, offset: int, key: bytes | None, value: bytes | None, reason: str
    ) -> "DeadLetter":
        """Describe a record that could not be read."""
        return DeadLetter(
            topic=topic,
            epoch=epoch,
            partition=partition,
            offset=offset,
            reason=reason,
            key=_text(key),
            value=_text(value),
            value_bytes=None if value is None else len(value),
        )

    @staticmethod
    def of_record(source: Source, record: Record, reason: str) -> "DeadLetter":
        """Describe a record of a topic that the worker reads."""
        return DeadLetter.of(source.topic, source.epoch, record.partition, record.offset, record.key, record.value, reason)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(DeadLetter)


def encode(letter: DeadLetter) -> bytes:
    """The dead letter as JSON, UTF-8."""
    return _ENCODER.encode(letter)


def decode(value: bytes) -> DeadLetter:
    """Read what `encode` wrote."""
    return _DECODER.decode(value)


def _text(blob: bytes | None) -> str | None:
    return None if blob is None else base64.b64encode(blob[:KEPT_BYTES]).decode()


@dataclass
class DeadLetters:
    """Sends dead letters and waits for Kafka to have them. Connects when the first one comes; most runs have none."""

    config: KafkaConfig
    _producer: Any = None

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send some, and wait until Kafka has acknowledged each.

        Raises
        ------
        UnavailableError : Kafka did not take them within its time limit.
        """
        if not letters:
            return
        with topics.reachable(self.config):
            producer = self._connected()
            sent = [
                producer.send(
                    self.config.dead_letters_topic, key=f"{letter.topic}/{letter.partition}".encode(), value=encode(letter)
                )
                for letter in letters
            ]
            for future in sent:
                future.get(timeout=self.config.timeout_s)
        unreadable = [letter for letter in letters if letter.replayed is None]
        for letter in unreadable:
            metrics.DEAD_LETTERS.labels(letter.topic).inc()
        for letter in unreadable[:LOGGED]:
            log.warning("dead letter %s/%d@%d: %s", letter.topic, letter.partition, letter.offset, letter.reason)

    def close(self) -> None:
        """Let go of the connection."""
        if self._producer is not None:
            self._producer.close(timeout=self.config.timeout_s)
            self._producer = None

    def _connected(self) -> Any:
        if self._producer is None:
            self._producer = topics.producer(self.config, "marquee-dead-letters")
        return self._producer
