"""What the layers agree on about a member whose history was erased: who it is, without naming anybody, and up to where.

kafka-python is imported when a function is called, so that importing this module loads nothing heavy.
"""

import hashlib

import msgspec
import redis

from shared import topics
from shared.config import Config
from shared.errors import InputError

FOREVER = None
_DAY_S = 24 * 3600

Ends = dict[str, int]
"""`topic:epoch:partition` to the first offset that was not erased. Older epochs are erased as a whole."""


def member_hash(member_id: str) -> str:
    """SHA-256 of the id in UTF-8, in hex."""
    return hashlib.sha256(member_id.encode()).hexdigest()


def ends(client: redis.Redis, config: Config) -> Ends:
    """Where plays, feedback and impressions end now.

    Raises
    ------
    UnavailableError : Kafka does not answer, or a topic is missing.
    """
    from kafka import KafkaConsumer, TopicPartition

    kafka = config.kafka
    names = [kafka.plays_topic, kafka.feedback_topic, kafka.impressions_topic]
    epochs = topics.epochs(client, config.redis.namespace, kafka, names)
    found = topics.describe(kafka, names)
    limit_ms = int(kafka.timeout_s * 1000)
    with topics.reachable(kafka):
        consumer = KafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers.split(","),
            client_id="marquee-erasure",
            bootstrap_timeout_ms=limit_ms,
            request_timeout_ms=limit_ms,
        )
        try:
            places = [TopicPartition(name, number) for name in names for number in range(found[name].partitions)]
            there = consumer.end_offsets(places)
        finally:
            consumer.close()
    return {f"{at.topic}:{epochs[at.topic]}:{at.partition}": there[at] for at in places}


def parse(text: str) -> Ends:
    """Read the JSON of `Ends`.

    Raises
    ------
    InputError : it is something else.
    """
    try:
        return msgspec.json.decode(text, type=Ends)
    except msgspec.MsgspecError as error:
        raise InputError(f"{text[:80]!r} does not say where topics ended: {error}") from None


def kept_s(config: Config) -> float | None:
    """For how long a record that is on plays or feedback now may still be read; `FOREVER` where Kafka never removes it.

    A record goes with its segment, which is closed by time or size, and a day is added for the broker's leisure.
    """
    from kafka.admin import ConfigResource, ConfigResourceType

    names = [config.kafka.plays_topic, config.kafka.feedback_topic]
    with topics.admin(config.kafka) as client:
        answers = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names], config_filter="all")
    longest_s = 0.0
    for settings in answers["topic"].values():
        kept_ms, segment_ms = (int(settings[name]["value"]) for name in ("retention.ms", "segment.ms"))
        if kept_ms < 0 or "compact" in settings["cleanup.policy"]["value"]:
            return FOREVER
        longest_s = max(longest_s, (kept_ms + segment_ms) / 1000 + _DAY_S)
    return longest_s
