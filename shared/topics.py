"""Kafka's topics as every layer sees them: their ids, their partitions, and the epoch that numbers each incarnation.

kafka-python is imported when a function is called, so that importing this module loads nothing heavy.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from shared import epochs as numbering
from shared.config import KafkaConfig
from shared.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: `topic_id` is Kafka's own, new whenever the topic is created anew."""

    name: str
    topic_id: str
    partitions: int


def find(config: KafkaConfig, names: Sequence[str]) -> dict[str, Topic]:
    """Look some topics up, by name; those that are not there are left out.

    Raises
    ------
    UnavailableError : Kafka does not answer within its time limit.
    """
    with admin(config) as client:
        answers = client.describe_topics(list(names))
    return {
        answer["name"]: Topic(answer["name"], str(answer["topic_id"]), len(answer["partitions"]))
        for answer in answers
        if answer["error_code"] == 0
    }


def describe(config: KafkaConfig, names: Sequence[str]) -> dict[str, Topic]:
    """Look some topics up, by name.

    Raises
    ------
    UnavailableError : Kafka does not answer within its time limit, or a topic is not there.
    """
    found = find(config, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise UnavailableError(
            f"Kafka at {config.bootstrap_servers} has no topic {', '.join(repr(name) for name in missing)}; "
            f"create it, keyed by member_id, or name another in [kafka]"
        )
    return found


def epochs(
    client: redis.Redis, namespace: str, config: KafkaConfig, names: Sequence[str], floors: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The epoch of each topic's present incarnation; the first to ask for a new one numbers it.

    Parameters
    ----------
    floors : topic to the highest epoch known elsewhere; see `shared.epochs.number`.

    Raises
    ------
    UnavailableError : as `describe`.
    """
    found = describe(config, names)
    return {
        name: numbering.number(client, namespace, name, topic.topic_id, topic.partitions, (floors or {}).get(name, 0))
        for name, topic in found.items()
    }


@contextmanager
def admin(config: KafkaConfig) -> Iterator[Any]:
    """A `KafkaAdminClient` with the configured time limit; closed at the end.

    Raises
    ------
    UnavailableError : no broker answers within the limit, here or at a call made inside.
    """
    from kafka import KafkaAdminClient

    limit_ms = int(config.timeout_s * 1000)
    with reachable(config):
        client = KafkaAdminClient(
            bootstrap_servers=config.bootstrap_servers.split(","),
            client_id="marquee-admin",
            bootstrap_timeout_ms=limit_ms,
            request_timeout_ms=limit_ms,
        )
        try:
            yield client
        finally:
            client.close()


@contextmanager
def reachable(config: KafkaConfig) -> Iterator[None]:
    """Turn kafka-python's errors of connection and time into one `UnavailableError` that names the address."""
    from kafka.errors import KafkaError

    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise UnavailableError(
            f"Kafka at {config.bootstrap_servers} did not answer within {config.timeout_s:g} s: {error or type(error).__name__}"
        ) from error


def producer(config: KafkaConfig, client_id: str) -> Any:
    """A `KafkaProducer` that waits for every replica and gives up after the configured time limit. The caller closes it."""
    from kafka import KafkaProducer

    limit_ms = int(config.timeout_s * 1000)
    return KafkaProducer(
        bootstrap_servers=config.bootstrap_servers.split(","),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        max_block_ms=limit_ms,
        request_timeout_ms=limit_ms,
        delivery_timeout_ms=limit_ms + 1000,
    )
