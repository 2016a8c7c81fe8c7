"""Runs one worker process from its configuration to its exit code."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Mapping

import click
import faust
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from nearline import app as apps
from nearline.app import Parts
from nearline.dead_letters.letters import DeadLetters
from nearline.reading.flushing import Flusher
from nearline.reading.topic_watch import TopicWatch
from nearline.records import Source
from nearline.retrieval.service import Retrieval
from nearline.states.watermarks import Watermarks
from nearline.states.writer import StateWriter
from nearline.trending import Trending
from nearline.watching import health, restarts
from nearline.watching.readiness import Readiness
from nearline.watching.watchdog import Progress, Watchdog
from shared import epochs, events, metrics, store, topics
from shared.config import Config
from shared.store import StateStore
from shared.topics import Topic

SHUTDOWN_LIMIT_S = 20.0
FAILED_EXIT_CODE = 1

log = logging.getLogger(__name__)


class Worker:
    """One worker process.

    Parameters
    ----------
    instance : see `nearline.reading.batch_reader.BatchReader`.
    """

    def __init__(self, config: Config, instance: str | None = None) -> None:
        self._config = config
        self._instance = instance
        self._failure: BaseException | None = None
        self._faust: faust.Worker | None = None

    def run(self) -> int:
        """Work until a signal or a failure; the exit code.

        Raises
        ------
        UnavailableError : Redis or Kafka cannot be reached, or a topic is missing.
        """
        config, namespace = self._config, self._config.redis.namespace
        found = self._find_topics()
        client = store.connect(config.redis)
        client.set_retry(Retry(NoBackoff(), 0))  # a batch is tried again as a whole, after looking at the watermarks
        side_client = store.connect(config.redis)  # for what other threads do beside the batches
        sources = self._sources(client, found)
        watermarks = Watermarks(client, namespace, {source.topic: source.epoch for source in sources})
        dead_letters = DeadLetters(config.kafka)
        trending = Trending.build(client, side_client, config, watermarks, dead_letters)
        retrieval = Retrieval(config, side_client)
        progress = Progress()
        readiness = Readiness([source.topic for source in sources], click.echo, config.nearline.ready_lag_records)
        parts = Parts(
            *sources,
            states=StateWriter(
                *(StateStore(client, namespace), watermarks, dead_letters, config.nearline.cache_mb << 20),
                followers=[trending.starts, retrieval],
            ),
            trending=trending,
            retrieval=retrieval,
            flusher=Flusher(watermarks, progress, 0.75 * config.nearline.stall_timeout_s),
            progress=progress,
            readiness=readiness,
            topic_watch=TopicWatch(config.kafka, found, self._fail),
        )
        with store.reachable(config.redis):
            restarts.note_start(side_client, namespace, self._instance)
        metrics.serve(config.nearline.metrics_port, health.pages(progress, readiness, config.nearline.stall_timeout_s))
        retrieval.start()
        try:
            return self._work(parts)
        finally:
            parts.flusher.close()
            retrieval.stop(config.redis.timeout_s)
            with contextlib.suppress(redis.exceptions.RedisError):
                trending.publisher.close()
            dead_letters.close()
            client.close()
            side_client.close()

    def _work(self, parts: Parts) -> int:
        """Run the Faust app to its end; the exit code."""
        app = apps.build(self._config, parts, self._fail, self._instance)
        self._faust = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False, loglevel="WARNING")
        self._faust.spinner = None  # it writes escape sequences to standard output
        if not log.isEnabledFor(logging.DEBUG):
            for chatty in ("faust", "mode"):
                logging.getLogger(chatty).setLevel(logging.WARNING)
        # States are trees of tuples, freed by reference counts; walking all that are cached for cycles is a third of the time.
        gc.freeze()
        gc.set_threshold(200_000, 50, 100)
        Watchdog(parts.progress, self._config.nearline.stall_timeout_s).start()
        try:
            self._faust.execute_from_commandline()
        except SystemExit as ending:
            if ending.code and self._failure is None:
                return FAILED_EXIT_CODE
        except Exception as error:
            self._failure = self._failure or error
        if self._failure is not None:
            click.echo(f"error: the worker ended: {self._failure or type(self._failure).__name__}", err=True)
            return FAILED_EXIT_CODE
        return 0

    def _find_topics(self) -> dict[str, Topic]:
        """The topics that are read; proves on the way that Redis and Kafka answer and that no topic is missing."""
        kafka = self._config.kafka
        with store.reachable(self._config.redis), store.connect(self._config.redis) as client:
            client.ping()
        read = [kafka.plays_topic, kafka.feedback_topic, kafka.impressions_topic]
        found = topics.describe(kafka, [*read, kafka.dead_letters_topic])
        return {name: found[name] for name in read}

    def _sources(self, client: redis.Redis, found: Mapping[str, Topic]) -> tuple[Source, Source, Source]:
        kafka, namespace = self._config.kafka, self._config.redis.namespace
        with store.reachable(self._config.redis):
            numbers = {
                name: epochs.number(client, namespace, name, topic.topic_id, topic.partitions) for name, topic in found.items()
            }
        return (
            Source(kafka.plays_topic, numbers[kafka.plays_topic], events.decode_play),
            Source(kafka.feedback_topic, numbers[kafka.feedback_topic], events.decode_feedback),
            Source(kafka.impressions_topic, numbers[kafka.impressions_topic], events.decode_impression),
        )

    def _fail(self, error: BaseException) -> None:
        """End the process because of an error. Called on the event loop."""
        if self._failure is not None:
            return
        self._failure = error
        log.error("the worker ends: %s", error, exc_info=error)
        assert self._faust is not None
        self._stopping = asyncio.get_running_loop().create_task(self._faust.stop())
        threading.Thread(target=_end_after, args=(SHUTDOWN_LIMIT_S, error), daemon=True).start()


def _end_after(limit_s: float, error: BaseException) -> None:
    threading.Event().wait(limit_s)
    sys.stderr.write(f"error: the worker ended: {error}; its shutdown took longer than {limit_s:g} s\n")
    sys.stderr.flush()
    os._exit(FAILED_EXIT_CODE)
