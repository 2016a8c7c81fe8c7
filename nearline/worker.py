"""Runs one worker process from its configuration to its exit code."""

import asyncio
import gc
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

import click
import faust
from redis.backoff import NoBackoff
from redis.retry import Retry

from nearline import app as apps
from nearline.dead_letters import DeadLetters
from nearline.flushing import Flusher
from nearline.readiness import Readiness
from nearline.records import Source
from nearline.state_writer import StateWriter
from nearline.watchdog import Progress, Watchdog
from nearline.watermarks import Watermarks
from shared import events, metrics, store, topics
from shared.config import Config
from shared.store import StateStore

SHUTDOWN_LIMIT_S = 20.0
FAILED_EXIT_CODE = 1

log = logging.getLogger(__name__)


class Worker:
    """One worker process.

    Parameters
    ----------
    instance : see `nearline.batch_reader.BatchReader`.
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
        config = self._config
        plays, feedback = self._sources()
        metrics.serve(config.nearline.metrics_port)
        client = store.connect(config.redis)
        client.set_retry(Retry(NoBackoff(), 0))  # a batch is tried again as a whole, after looking at the watermarks
        namespace = config.redis.namespace
        watermarks = Watermarks(client, namespace, {source.topic: source.epoch for source in (plays, feedback)})
        dead_letters = DeadLetters(config.kafka)
        cache_bytes = config.nearline.cache_mb << 20
        writer = StateWriter(StateStore(client, namespace), watermarks, dead_letters, cache_bytes)
        progress = Progress()
        flusher = Flusher(watermarks, progress, 0.75 * config.nearline.stall_timeout_s)
        readiness = Readiness([plays.topic, feedback.topic], click.echo)
        scratch = tempfile.TemporaryDirectory(prefix="marquee-nearline-")
        app = apps.build(
            config, plays, feedback, writer, flusher, progress, readiness, self._fail, self._instance, Path(scratch.name)
        )
        self._faust = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False, loglevel="WARNING")
        self._faust.spinner = None  # it writes escape sequences to standard output
        if not log.isEnabledFor(logging.DEBUG):
            for chatty in ("faust", "mode"):
                logging.getLogger(chatty).setLevel(logging.WARNING)
        # States are trees of tuples, freed by reference counts; walking all that are cached for cycles is a third of the time.
        gc.freeze()
        gc.set_threshold(200_000, 50, 100)
        Watchdog(progress, config.nearline.stall_timeout_s).start()
        try:
            self._faust.execute_from_commandline()
        except SystemExit as ending:
            if ending.code and self._failure is None:
                return FAILED_EXIT_CODE
        except Exception as error:
            self._failure = self._failure or error
        finally:
            flusher.close()
            dead_letters.close()
            client.close()
            scratch.cleanup()
        if self._failure is not None:
            click.echo(f"error: the worker ended: {self._failure or type(self._failure).__name__}", err=True)
            return FAILED_EXIT_CODE
        return 0

    def _sources(self) -> tuple[Source, Source]:
        """The topics with their epochs; proves on the way that Redis and Kafka answer and that no topic is missing."""
        config = self._config
        plays, feedback = config.kafka.plays_topic, config.kafka.feedback_topic
        client = store.connect(config.redis)
        with store.reachable(config.redis):
            client.ping()
            topics.describe(config.kafka, [config.kafka.dead_letters_topic])
            epochs = topics.epochs(client, config.redis.namespace, config.kafka, [plays, feedback])
            client.close()
        return Source(plays, epochs[plays], events.decode_play), Source(feedback, epochs[feedback], events.decode_feedback)

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
