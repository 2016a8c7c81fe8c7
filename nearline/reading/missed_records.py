"""Reads some records of a partition that the consumer at work has passed over. Called by the feedback agent."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from nearline.records import Arrived, Place
from shared.config import KafkaConfig

POLL_MS = 200


async def read_between(config: KafkaConfig, place: Place, first: int, end: int) -> list[Arrived]:
    """The records of a partition from offset `first` to before `end` that Kafka still has, in their order.

    Parameters
    ----------
    end : at most the partition's end.

    Raises
    ------
    KafkaError, TimeoutError : Kafka does not give them within its time limit.
    """
    found: list[Arrived] = []
    at = TopicPartition(place.topic, place.partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.bootstrap_servers,
        client_id="marquee-missed-records",
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # where retention has deleted the first of them
    )
    async with asyncio.timeout(config.timeout_s):
        try:
            await consumer.start()
            consumer.assign([at])
            consumer.seek(at, first)
            while await consumer.position(at) < end:
                for record in (await consumer.getmany(at, timeout_ms=POLL_MS)).get(at, ()):
                    if record.offset < end:
                        found.append(Arrived(record.partition, record.offset, record.timestamp, record.key, record.value))
        finally:
            await consumer.stop()
    return found
