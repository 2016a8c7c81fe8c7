"""Gives the topics more partitions by a drained cut-over: `python -m nearline repartition`.

More partitions move members between partitions, where offsets no longer tell old from new; so an epoch ends and another
begins (`shared.epochs`). Between the two nothing may be on its way: the producers are quiet, and all that they sent is in
Redis. The new epoch is numbered, with where it begins, before Kafka gets the partitions: whenever this dies, running it again
completes it, and no worker can meet the new partitions without the epoch.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import redis

from nearline.auditing.log_reader import LogReader, Span
from nearline.records import Place
from nearline.states import watermarks
from shared import epochs, store, topics
from shared.config import Config
from shared.errors import ConflictError, InputError
from shared.topics import Topic


def repartition(config: Config, partitions: int, quiet_s: float, say: Callable[[str], None]) -> None:
    """Bring plays, feedback and impressions to a number of partitions.

    Parameters
    ----------
    quiet_s : nothing may come to the topics for so long. It should be longer than Redis takes to sync its log (a second), so
        that what the epochs are begun upon cannot be lost any more.
    say : is told what has been done, and what remains to be done.

    Raises
    ------
    InputError : a topic has more partitions already.
    ConflictError : producers are at work, or the workers have not caught up; nothing has been changed.
    UnavailableError : Kafka or Redis does not answer; running it again completes what was begun.
    """
    names = [config.kafka.plays_topic, config.kafka.feedback_topic, config.kafka.impressions_topic]
    found = topics.describe(config.kafka, names)
    growing = [topic for topic in found.values() if topic.partitions < partitions]
    for topic in found.values():
        if topic.partitions > partitions:
            raise InputError(f"topic {topic.name!r} has {topic.partitions} partitions; Kafka takes none away")
    if not growing:
        say(f"{_list(list(found.values()))}: {partitions} partitions already; nothing to do")
        return
    with store.reachable(config.redis), store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        arrived = _cut_over(config, client, reader, growing, partitions, quiet_s)
    say(f"{_list(growing)}: {partitions} partitions now, in a new epoch")
    if arrived:
        say(f"{arrived} records came during the cut-over, from producers that are still at work; they are counted all the same")
    say(
        "The workers end by themselves within seconds; start them again unless something else does. Then restart the producers, "
        f"so that all of them know the new partitions, and set [kafka] partitions = {partitions} in the configuration"
    )


def _cut_over(
    config: Config, client: redis.Redis, reader: LogReader, growing: Sequence[Topic], partitions: int, quiet_s: float
) -> int:
    """Check that nothing is on its way, begin the epochs, create the partitions; how many records came all the same."""
    space = config.redis.namespace
    places = [Place(topic.name, number) for topic in growing for number in range(topic.partitions)]
    before = reader.spans(places)
    time.sleep(quiet_s)
    spans = reader.spans(places)
    if arrived := _arrived(before, spans):
        raise ConflictError(f"{arrived} records came within {quiet_s:g} s; stop the producers of {_list(growing)} first")
    for topic in growing:
        own = {place: span for place, span in spans.items() if place.topic == topic.name}
        epoch = epochs.number(client, space, topic.name, topic.topic_id, topic.partitions)
        starts = epochs.history(client, space, topic.name, topic.topic_id)[-1].starts
        marks = watermarks.read(client, space, {topic.name: epoch}, list(own))
        reached = {place: max(mark, starts.get(place.partition, 0)) for place, mark in marks.items()}
        if waiting := _waiting(reader, own, reached):
            raise ConflictError(f"topic {topic.name!r}: {waiting} records are not yet in Redis; wait for the workers to catch up")
    for topic in growing:
        starts = {place.partition: span.end for place, span in spans.items() if place.topic == topic.name}
        epochs.begin(client, space, topic.name, topic.topic_id, partitions, starts)
    with topics.admin(config.kafka) as admin:
        limit_ms = int(config.kafka.timeout_s * 1000)
        admin.create_partitions({topic.name: partitions for topic in growing}, timeout_ms=limit_ms)
        admin.wait_for_topics([topic.name for topic in growing], timeout_ms=limit_ms)
    return _arrived(spans, reader.spans(places))


def _arrived(before: Mapping[Place, Span], after: Mapping[Place, Span]) -> int:
    return sum(after[place].end - span.end for place, span in before.items())


def _waiting(reader: LogReader, spans: Mapping[Place, Span], reached: Mapping[Place, int]) -> int:
    """Records that are not yet in Redis. Offsets alone do not tell: compaction and transactions leave some without a record."""
    unread = {place: Span(max(span.first, reached[place]), span.end) for place, span in spans.items()}
    return sum(len(piece.records) for piece in reader.read(unread))


def _list(found: Sequence[Topic]) -> str:
    return ", ".join(topic.name for topic in found)
