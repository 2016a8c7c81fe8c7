"""A plain Faust agent that does what the worker does: each event decoded, folded into its member's state, written under its
fence, and acknowledged after that.

It has the worker's decoder, reducer, script and cache of states, so what differs is the way: one event at a time.
"""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import faust

from infra.bench.nearline.rivals.measuring import Meter, job_of
from shared import events, fence, store, topics
from shared.accumulator import Accumulator
from shared.fence import Fence, Position
from shared.store import StateStore, StateWrite

CACHED_MEMBERS = 50_000


def main() -> None:
    """Run the agent until its job is done."""
    job = job_of(sys.argv[1:])
    config, meter = job.config, Meter(job)
    name = config.kafka.plays_topic
    client = store.connect(config.redis)
    epoch = topics.epochs(client, config.redis.namespace, config.kafka, [name])[name]
    states = StateStore(client, config.redis.namespace)
    cache: OrderedDict[str, tuple[Accumulator, Fence, bytes]] = OrderedDict()
    app = faust.App(
        config.nearline.group,
        broker=[f"kafka://{address}" for address in config.kafka.bootstrap_servers.split(",")],
        store="memory://",
        datadir=Path(job.config_path).parent,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
    )
    topic = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    def handle(message: Any) -> None:
        play = events.decode_play(message.value, message.key)
        member_id = play.member_id
        at = Position(epoch, message.partition, message.offset)
        held = cache.get(member_id)
        if held is None:
            stored = states.read([member_id])[0]
            held = (Accumulator.of(stored.state), fence.decode(stored.fence), stored.fence)
        state, reached, before = held
        if fence.has_seen(reached, name, at):
            return
        reached = dict(reached)
        fence.advance(reached, name, at)
        after = fence.encode(reached)
        if states.write([StateWrite(member_id, before, after, state.fold((play,)))]) != [None]:
            raise RuntimeError(f"somebody else moved the state of member {member_id!r}")
        cache[member_id] = (state, reached, after)
        cache.move_to_end(member_id)
        if len(cache) > CACHED_MEMBERS:
            cache.popitem(last=False)

    @app.agent(topic, name="plays", concurrency=1)
    async def serve(stream: Any) -> None:
        async for event in stream.noack().events():
            meter.begin()
            handle(event.message)
            event.ack()
            if meter.add(1):
                meter.finish()

    worker = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False, loglevel="WARNING")
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
