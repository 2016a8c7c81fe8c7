"""Sends a workload to a topic, from several processes, in the batches that Kafka's producers make by default."""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import chain

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from infra.bench.nearline.workload import Encoder, Ints, Record, Workload, arrivals
from infra.local.topics import create_topics
from shared import topics
from shared.config import KafkaConfig
from shared.errors import UnavailableError

BATCH_BYTES = 16 * 1024  # the default of Kafka's own producer
ENCODED_AT_ONCE = 10_000
IN_FLIGHT = 64
LIMIT_S = 900.0


def send(config: KafkaConfig, workload: Workload) -> None:
    """Create the plays topic of a configuration and fill it with a workload; returns when Kafka has acknowledged all.

    Raises
    ------
    UnavailableError : Kafka did not take it within its limit.
    """
    create_topics(config)
    partitions = topics.describe(config, [config.plays_topic])[config.plays_topic].partitions
    senders = max(1, min(partitions, (os.cpu_count() or 1), workload.events // 50_000))
    shares = [list(range(number, partitions, senders)) for number in range(senders)]
    with ProcessPoolExecutor(senders, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(_send_share, config, workload, share, partitions) for share in shares]
        try:
            sent = sum(future.result() for future in as_completed(futures, timeout=LIMIT_S))
        except TimeoutError:
            raise UnavailableError(f"{workload.events} events were not sent to Kafka within {LIMIT_S:g} s") from None
    if sent != workload.events:
        raise UnavailableError(f"{sent} of {workload.events} events were sent to Kafka")


def partition_of(member_id: str, partitions: int) -> int:
    """Where Kafka's own default partitioner puts a key."""
    return int((murmur2(member_id.encode()) & 0x7FFFFFFF) % partitions)


def _send_share(config: KafkaConfig, workload: Workload, share: list[int], partitions: int) -> int:
    """Send the records of some partitions; how many they are."""
    log = arrivals(workload)
    homes = np.array([partition_of(member, partitions) for member in workload.member_ids()])  # (members,)
    at = homes[log.member[log.viewing]]  # (events,)
    encoder = Encoder(workload, log)
    streams = {partition: _encoded(encoder, np.flatnonzero(at == partition)) for partition in share}
    return asyncio.run(_produce(config, streams))


def _encoded(encoder: Encoder, events: Ints) -> Iterator[Record]:
    pieces = (events[start : start + ENCODED_AT_ONCE] for start in range(0, len(events), ENCODED_AT_ONCE))
    return chain.from_iterable(encoder.records(piece) for piece in pieces)


async def _produce(config: KafkaConfig, streams: dict[int, Iterator[Record]]) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=config.bootstrap_servers, max_batch_size=BATCH_BYTES, request_timeout_ms=60_000, acks="all"
    )
    await producer.start()
    sent = 0
    waiting: set[asyncio.Future[object]] = set()
    held: dict[int, Record] = {}
    try:
        while streams:
            for partition in list(streams):
                batch = producer.create_batch()
                for record in chain([held.pop(partition)] if partition in held else [], streams[partition]):
                    key, value, at_ms = record
                    if batch.append(key=key, value=value, timestamp=at_ms) is None:
                        held[partition] = record
                        break
                    sent += 1
                else:
                    del streams[partition]
                batch.close()
                if batch.record_count():
                    waiting.add(await producer.send_batch(batch, config.plays_topic, partition=partition))
            if len(waiting) > IN_FLIGHT:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for future in done:
                    future.result()
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()
    return sent
