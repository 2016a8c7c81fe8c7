"""Creates Marquee's topics, and asks a broker whether it serves."""

import contextlib
from collections.abc import Sequence

from kafka.errors import TopicAlreadyExistsError

from shared.config import KafkaConfig
from shared.topics import admin


def topic_names(config: KafkaConfig) -> list[str]:
    """All topics of one configuration."""
    return [config.plays_topic, config.feedback_topic, config.impressions_topic, config.dead_letters_topic]


def create_topics(config: KafkaConfig) -> list[str]:
    """Create the topics that are not there yet, and wait until each partition has a leader.

    Returns
    -------
    Names of those created now.

    Raises
    ------
    UnavailableError : Kafka does not answer within its time limit, or refuses.
    """
    with admin(config) as client:
        present = set(client.list_topics())
        missing = [name for name in topic_names(config) if name not in present]
        if missing:
            wanted = {name: {"num_partitions": config.partitions, "replication_factor": config.replication} for name in missing}
            # Somebody else may create them at the same time.
            with contextlib.suppress(TopicAlreadyExistsError):
                client.create_topics(wanted, timeout_ms=int(config.timeout_s * 1000))
            client.wait_for_topics(missing)
        return missing


def delete_topics(config: KafkaConfig, names: Sequence[str]) -> None:
    """Delete topics. Raises as `create_topics`."""
    with admin(config) as client:
        client.delete_topics(list(names), timeout_ms=int(config.timeout_s * 1000))


def check_kafka(config: KafkaConfig) -> None:
    """One metadata call; raise `UnavailableError` when no broker answers it within the time limit."""
    with admin(config) as client:
        client.list_topics()
