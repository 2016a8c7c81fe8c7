"""Builds the Faust app: its topics, its agent, its services. What they do is in the modules that they call."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import faust
from aiokafka.errors import KafkaError
from mode import Service

from nearline import feedback_agent, metrics
from nearline.batch_reader import BatchReader
from nearline.feedback_agent import Failed
from nearline.flushing import Flusher
from nearline.readiness import Readiness
from nearline.records import Source, Writer
from nearline.watchdog import Progress
from shared.config import Config

BEAT_S = 1.0

log = logging.getLogger(__name__)


def build(
    config: Config,
    plays: Source,
    feedback: Source,
    writer: Writer,
    flusher: Flusher,
    progress: Progress,
    readiness: Readiness,
    failed: Failed,
    instance: str | None,
    scratch: Path,
) -> faust.App:
    """The app of one worker process.

    Parameters
    ----------
    failed : told of an error that the worker cannot go on from; ends the process.
    instance : see `BatchReader`.
    scratch : where Faust makes the folders of the tables that this app has none of; by itself it takes the working folder,
        which a deployment keeps read-only.
    """
    session_s = config.nearline.session_timeout_s
    app = faust.App(
        config.nearline.group,
        broker=[f"kafka://{address}" for address in config.kafka.bootstrap_servers.split(",")],
        store="memory://",
        datadir=scratch,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_request_timeout=session_s + 30.0,
        broker_commit_interval=1.0,
        stream_wait_empty=False,
    )
    app.transport = feedback_agent.resuming_transport(app, flusher.resume, failed)
    topic = app.topic(feedback.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="feedback", concurrency=1)  # one coroutine: acknowledged in order
    async def serve_feedback(stream: Any) -> None:
        await feedback_agent.serve(stream, feedback, writer, flusher, failed)

    @app.on_rebalance_complete.connect
    async def note_feedback(*_: Any, **__: Any) -> None:
        readiness.assigned(feedback.topic, sorted(at.partition for at in app.consumer.assignment()))

    async def note_plays(partitions: list[int]) -> None:
        readiness.assigned(plays.topic, partitions)

    reader = BatchReader(config, "plays", plays, writer, flusher, instance=instance, on_assigned=note_plays)

    @app.service
    class Plays(Service):
        """Reads plays in batches, and reports on itself."""

        async def on_start(self) -> None:
            await reader.start()

        async def on_stop(self) -> None:
            await reader.stop()

        @Service.task
        async def read(self) -> None:
            try:
                await reader.run()
            except Exception as error:
                failed(error)

        @Service.task
        async def report(self) -> None:
            while not self.should_stop:
                try:
                    waiting = {plays.topic: await reader.lag(), feedback.topic: await feedback_agent.lag(app)}
                except (KafkaError, TimeoutError, AssertionError) as error:
                    log.info("lag unknown: %r", error)
                    progress.alive()
                else:
                    for name, count in waiting.items():
                        metrics.LAG.labels(name).set(count)
                    progress.beat(sum(waiting.values()))
                await asyncio.sleep(BEAT_S)

    return app
