"""The least that could do the worker's writing: batches from aiokafka, the last record of each member, the fenced script.

Nothing is folded, and values are decoded only where the job says so, to tell what that costs. Each state is a constant of
a given size.
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer

from infra.bench.nearline.rivals.measuring import Job, Meter, job_of
from shared import events, fence, store, topics
from shared.fence import Position
from shared.store import StateStore, StateWrite

FETCH_WAIT_MS, FETCH_BYTES, PARTITION_FETCH_BYTES = 20, 32 << 20, 4 << 20  # as the worker's


async def consume(job: Job) -> None:
    """Read, write, commit, until the job is done."""
    config, meter = job.config, Meter(job)
    name = config.kafka.plays_topic
    client = store.connect(config.redis)
    epoch = topics.epochs(client, config.redis.namespace, config.kafka, [name])[name]
    states = StateStore(client, config.redis.namespace)
    payload = bytes(job.state_bytes)
    fences: dict[bytes, bytes] = {}
    consumer = AIOKafkaConsumer(
        name,
        bootstrap_servers=config.kafka.bootstrap_servers,
        group_id=config.nearline.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
    )
    await consumer.start()
    while True:
        batch = await consumer.getmany(timeout_ms=200, max_records=config.nearline.batch_events)
        if not batch:
            continue
        meter.begin()
        last: dict[bytes, Position] = {}
        for partition, records in batch.items():
            for record in records:
                if job.decode:
                    events.decode_play(record.value, record.key)
                last[record.key] = Position(epoch, partition.partition, record.offset)
        after = {key: fence.encode({name: at}) for key, at in last.items()}
        writes = [StateWrite(key.decode(), fences.get(key, b""), reached, payload) for key, reached in after.items()]
        if any(there is not None for there in states.write(writes)):
            raise RuntimeError("somebody else moved a state")
        fences |= after
        await consumer.commit({partition: records[-1].offset + 1 for partition, records in batch.items()})
        if meter.add(sum(map(len, batch.values()))):
            meter.finish()


if __name__ == "__main__":
    asyncio.run(consume(job_of(sys.argv[1:])))
