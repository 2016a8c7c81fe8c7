"""Builds the Faust app: its topics, its agent, its services. What they do is in the modules that they call."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka.errors import KafkaError
from mode import Service

from nearline import metrics
from nearline.reading.batch_reader import BatchReader
from nearline.reading.feedback_agent import Failed, FeedbackAgent, resuming_transport
from nearline.reading.flushing import Flusher
from nearline.reading.topic_watch import TopicWatch
from nearline.records import Source
from nearline.retrieval.service import Retrieval
from nearline.states.watermarks import LostWritesError
from nearline.states.writer import StateWriter
from nearline.trending import Trending
from nearline.watching.readiness import Readiness
from nearline.watching.watchdog import Progress
from shared.config import Config

BEAT_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of: the topics it reads, and what becomes of their records."""

    plays: Source
    feedback: Source
    impressions: Source
    states: StateWriter
    trending: Trending
    retrieval: Retrieval
    flusher: Flusher
    progress: Progress
    readiness: Readiness
    topic_watch: TopicWatch


class _WithoutFolders(faust.App):
    """An app without tables: their folders would be made in the working folder, which a deployment keeps read-only."""

    def _create_directories(self) -> None:
        return


def build(config: Config, parts: Parts, failed: Failed, instance: str | None) -> faust.App:
    """The app of one worker process.

    Parameters
    ----------
    failed : told of an error that the worker cannot go on from; ends the process.
    instance : see `BatchReader`.
    """
    session_s = config.nearline.session_timeout_s
    app = _WithoutFolders(
        config.nearline.group,
        broker=[f"kafka://{address}" for address in config.kafka.bootstrap_servers.split(",")],
        store="memory://",
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
    feedback = parts.feedback
    agent = FeedbackAgent(config.kafka, feedback, parts.states, parts.flusher, failed)
    app.transport = resuming_transport(app, agent.resume, failed)
    topic = app.topic(feedback.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="feedback", concurrency=1)  # one coroutine: acknowledged in order
    async def serve_feedback(stream: Any) -> None:
        await agent.serve(stream)

    async def assigned(name: str, partitions: list[int]) -> None:
        parts.readiness.assigned(name, partitions)
        parts.retrieval.on_assigned(name, partitions)

    @app.on_rebalance_complete.connect
    async def note_feedback(*_: Any, **__: Any) -> None:
        await assigned(feedback.topic, sorted(at.partition for at in app.consumer.assignment()))

    readers = [
        BatchReader(config, "plays", parts.plays, parts.states, parts.flusher, instance=instance, on_assigned=assigned),
        BatchReader(
            *(config, "impressions", parts.impressions, parts.trending.impressions, parts.flusher),
            instance=instance,
            on_assigned=assigned,
        ),
    ]
    for reader in readers:
        app.service(_reading(reader, failed))
    app.service(_running(lambda: agent.sweep(app)))
    app.service(_running(parts.topic_watch.run))
    app.service(_running(parts.trending.publisher.run))

    async def report() -> None:
        while True:
            try:
                await parts.flusher.look()
            except LostWritesError as error:
                return failed(error)
            try:
                waiting = {reader.topic: await reader.lag() for reader in readers}
                waiting[feedback.topic] = await agent.lag(app)
            except (KafkaError, TimeoutError, AssertionError) as error:
                log.info("lag unknown: %r", error)
                parts.progress.alive()
            else:
                for name, count in waiting.items():
                    metrics.LAG.labels(name).set(count)
                parts.readiness.lag(waiting)
                parts.progress.beat(sum(waiting.values()))
            await asyncio.sleep(BEAT_S)

    app.service(_running(report))
    return app


def _reading(reader: BatchReader, failed: Failed) -> type[Service]:
    """A service that reads a topic for as long as the app runs."""

    class Reading(Service):
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

    return Reading


def _running(work: Callable[[], Awaitable[None]]) -> type[Service]:
    """A service that runs a coroutine until the app stops."""

    class Running(Service):
        @Service.task
        async def run(self) -> None:
            await work()

    return Running
