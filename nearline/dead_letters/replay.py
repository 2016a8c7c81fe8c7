"""Sends dead letters' records to their topics once more, those that today's code can read."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from nearline.dead_letters import letters as dead_letters
from nearline.dead_letters.letters import DeadLetter
from nearline.dead_letters.log import Filed, Original
from nearline.records import Decode
from shared import events, topics
from shared.config import KafkaConfig
from shared.errors import EventError


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one letter."""

    coordinates: str
    status: Literal["replayed", "already replayed", "stays"]
    detail: str  # where the record lies now, or why it stays


def decoders(config: KafkaConfig) -> dict[str, Decode]:
    """How the values of each topic are read."""
    return {
        config.plays_topic: events.decode_play,
        config.feedback_topic: events.decode_feedback,
        config.impressions_topic: events.decode_impression,
    }


def refusal(config: KafkaConfig, topic: str, original: Original, now_ms: int) -> str | None:
    """Why a record cannot be replayed; None when it can."""
    decode = decoders(config).get(topic)
    if decode is None:
        return f"topic {topic!r} is none of this configuration's"
    if not original.is_whole:
        return "the record is gone from its topic, and the dead letter kept only its beginning"
    try:
        decode(original.value, original.key, now_ms)
    except EventError as error:
        return str(error)
    return None


def replay(
    config: KafkaConfig,
    found: Iterable[tuple[Filed, Original]],
    now_ms: Callable[[], int],
    *,
    again: bool = False,
) -> Iterable[Outcome]:
    """Send what can be read, and mark it as sent.

    A mark follows its record. When this dies in between, the next replay sends the record once more: the states take a
    repeated event for what it is.

    Parameters
    ----------
    found : see `nearline.dead_letters.log.originals`.
    again : also those that were replayed before.

    Raises
    ------
    UnavailableError : Kafka did not take a record within its time limit; what was reported before is done.
    """
    producer: Any = None
    try:
        for short, original in found:
            if short.replayed is not None and not again:
                yield Outcome(coordinates=short.coordinates, status="already replayed", detail=short.replayed)
                continue
            why = refusal(config, short.topic, original, now_ms())
            if why is not None:
                yield Outcome(coordinates=short.coordinates, status="stays", detail=why)
                continue
            with topics.reachable(config):
                producer = producer or topics.producer(config, "marquee-dead-letters-replay")
                sent = producer.send(short.topic, key=original.key, value=original.value).get(timeout=config.timeout_s)
                place = f"{sent.topic}/{sent.partition}@{sent.offset}"
                mark = _mark(short, original, place)
                key = f"{mark.topic}/{mark.partition}".encode()
                producer.send(config.dead_letters_topic, key=key, value=dead_letters.encode(mark)).get(timeout=config.timeout_s)
            yield Outcome(coordinates=short.coordinates, status="replayed", detail=place)
    finally:
        if producer is not None:
            producer.close(timeout=config.timeout_s)


def _mark(short: Filed, original: Original, place: str) -> DeadLetter:
    letter = DeadLetter.of(short.topic, short.epoch, short.partition, short.offset, original.key, None, short.reason)
    return msgspec.structs.replace(letter, replayed=place)
