"""Reads the topic of dead letters, and fetches the records that they tell of: for `python -m nearline dead-letters`."""

import base64
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from nearline.auditing.log_reader import LogReader, Span
from nearline.dead_letters import letters as dead_letters
from nearline.dead_letters.letters import KEPT_BYTES, DeadLetter
from nearline.records import Place, Record
from shared import topics
from shared.config import KafkaConfig
from shared.errors import InputError

READ_OVER = 1000
"""Records between two wanted ones that are read over rather than skipped."""
LETTERS_AT_ONCE = 200
"""Letters whose whole records are in memory together."""

_COORDINATES = re.compile(r"(?P<topic>.+)/(?P<partition>\d+)@(?P<offset>\d+)")


class Coordinates(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int

    @staticmethod
    def parse(text: str) -> "Coordinates":
        """Read `topic/partition@offset`. Raises `InputError` for anything else."""
        found = _COORDINATES.fullmatch(text)
        if found is None:
            raise InputError(
                f"{text!r} are no coordinates; topic/partition@offset is expected, as `dead-letters list` shows them"
            )
        return Coordinates(found["topic"], int(found["partition"]), int(found["offset"]))


class Filed(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in short."""

    coordinates: str
    topic: str
    epoch: int
    partition: int
    offset: int
    reason: str
    at_ms: int  # when it was first put aside
    letter: tuple[int, int]  # partition and offset of the dead letter itself
    replayed: str | None = None


@dataclass(frozen=True)
class Filter:
    """Which letters are meant: those that pass all that is given."""

    topic: str | None = None
    reason: str | None = None  # part of it, in any case
    since_ms: int = 0
    coordinates: Collection[Coordinates] = field(default=frozenset())

    def takes(self, letter: DeadLetter, at_ms: int) -> bool:
        """Whether a letter that was put aside at a time passes."""
        return (
            (self.topic is None or letter.topic == self.topic)
            and (self.reason is None or self.reason.casefold() in letter.reason.casefold())
            and at_ms >= self.since_ms
            and (not self.coordinates or Coordinates(letter.topic, letter.partition, letter.offset) in self.coordinates)
        )


def read(reader: LogReader, config: KafkaConfig, wanted: Filter) -> list[Filed]:
    """The dead letters that pass a filter, oldest first; one that a crash had put aside twice is one.

    Keeps the short form of each in memory, some hundred bytes.

    Raises
    ------
    UnavailableError : Kafka does not answer, or there is no topic of dead letters.
    """
    topic = topics.describe(config, [config.dead_letters_topic])[config.dead_letters_topic]
    spans = reader.spans([Place(topic.name, number) for number in range(topic.partitions)])
    found: dict[tuple[str, int, int, int], Filed] = {}
    marks: dict[tuple[str, int, int, int], str] = {}
    for piece in reader.read(spans):
        for record in piece.records:
            letter = _decoded(record.value)
            if letter is None:
                continue
            place = (letter.topic, letter.epoch, letter.partition, letter.offset)
            at_ms = record.timestamp or 0
            if letter.replayed is not None:
                marks[place] = letter.replayed
            elif wanted.takes(letter, at_ms) and (place not in found or at_ms < found[place].at_ms):
                found[place] = Filed(
                    coordinates=letter.coordinates,
                    topic=letter.topic,
                    epoch=letter.epoch,
                    partition=letter.partition,
                    offset=letter.offset,
                    reason=letter.reason,
                    at_ms=at_ms,
                    letter=(record.partition, record.offset),
                )
    filed = [msgspec.structs.replace(short, replayed=marks[place]) if place in marks else short for place, short in found.items()]
    return sorted(filed, key=lambda short: (short.at_ms, short.coordinates))


def _decoded(value: bytes | None) -> DeadLetter | None:
    """Other records on the topic are none of ours."""
    try:
        return None if value is None else dead_letters.decode(value)
    except msgspec.DecodeError:
        return None


class Original(NamedTuple):
    """The record that a letter tells of, and where it was found; a letter may have kept no more than its beginning."""

    key: bytes | None
    value: bytes | None
    is_whole: bool
    source: Literal["topic", "letter"]


def originals(reader: LogReader, config: KafkaConfig, filed: Sequence[Filed]) -> Iterator[tuple[Filed, Original]]:
    """The records that some letters tell of, from their topics as far as they still have them, else as the letters kept them.

    Raises
    ------
    UnavailableError : Kafka does not answer.
    """
    ordered = sorted(filed, key=lambda short: (short.topic, short.partition, short.offset))
    for start in range(0, len(ordered), LETTERS_AT_ONCE):
        chunk = ordered[start : start + LETTERS_AT_ONCE]
        letters = _fetch(reader, config, [Coordinates(config.dead_letters_topic, *short.letter) for short in chunk])
        records = _fetch(reader, config, [Coordinates(short.topic, short.partition, short.offset) for short in chunk])
        for short in chunk:
            kept = letters.get(Coordinates(config.dead_letters_topic, *short.letter))
            letter = None if kept is None else _decoded(kept.value)
            if letter is None:  # Kafka's retention took the letter meanwhile
                continue
            there = records.get(Coordinates(short.topic, short.partition, short.offset))
            yield short, _original(letter, there)


def _original(letter: DeadLetter, there: Record | None) -> Original:
    """A topic that was created anew may have another record in that place; what the letter kept tells."""
    key, value = (None if text is None else base64.b64decode(text) for text in (letter.key, letter.value))
    if there is not None:
        size = None if there.value is None else len(there.value)
        if (_start(there.key), _start(there.value), size) == (key, value, letter.value_bytes):
            return Original(there.key, there.value, is_whole=True, source="topic")
    is_whole = len(key or b"") < KEPT_BYTES and len(value or b"") == (letter.value_bytes or 0)
    return Original(key, value, is_whole=is_whole, source="letter")


def _start(blob: bytes | None) -> bytes | None:
    return None if blob is None else blob[:KEPT_BYTES]


def _fetch(reader: LogReader, config: KafkaConfig, wanted: Sequence[Coordinates]) -> dict[Coordinates, Record]:
    """Those of some records that Kafka still has."""
    known = topics.find(config, sorted({at.topic for at in wanted}))
    there = [at for at in sorted(wanted) if at.topic in known and at.partition < known[at.topic].partitions]
    spans = reader.spans({Place(at.topic, at.partition) for at in there}) if there else {}
    found: dict[Coordinates, Record] = {}
    for place, offsets in _clumps(there):
        meant = set(offsets)
        span = Span(max(offsets[0], spans[place].first), min(offsets[-1] + 1, spans[place].end))
        for piece in reader.read({place: span}):
            found |= {Coordinates(place.topic, place.partition, at.offset): at for at in piece.records if at.offset in meant}
    return found


def _clumps(wanted: Sequence[Coordinates]) -> Iterator[tuple[Place, list[int]]]:
    """Offsets of one partition that are near each other, together."""
    clump: list[int] = []
    for number, at in enumerate(wanted):
        clump.append(at.offset)
        after = wanted[number + 1] if number + 1 < len(wanted) else None
        if after is None or after[:2] != at[:2] or after.offset - at.offset > READ_OVER:
            yield Place(at.topic, at.partition), clump
            clump = []
