"""A process of `python -m nearline worker` that fails as it was ordered to.

Forked from a server that has imported everything already, so that a life costs no import. Patches the public seams, and
then runs the command itself.
"""

import ctypes
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

import nearline.worker  # noqa: F401  imported before the fork
from nearline.__main__ import main as nearline_main
from nearline.reading.feedback_agent import FeedbackAgent
from shared import store
from tests.chaos import guards, older_version
from tests.chaos.orders import Orders
from tests.chaos.points import Points
from tests.chaos.shadow_count import ShadowCount

PR_SET_PDEATHSIG = 1
CALL_MEMBERS = 7  # so that a batch of few members is a pipeline of several calls


def run(orders: Orders) -> None:
    """The process' body; ends with the command's exit code."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _write_to(Path(orders.log_path))
    store.MEMBERS_PER_CALL = CALL_MEMBERS
    shadow = ShadowCount(is_fence_open=orders.without == "fence")
    shadow.install()
    if orders.is_older:
        older_version.become_older(checks_version=orders.without != "version")
    if orders.overlap_seed is not None:
        _deliver_again(random.Random(orders.overlap_seed))
    if orders.drop_seed is not None:
        _drop_feedback(random.Random(orders.drop_seed))
    Points(orders, shadow).install()
    if orders.without is not None:
        guards.take_out(orders.without)
    sys.argv = ["nearline"]
    nearline_main(["--log-level", "info", "worker", "--config", orders.config_path, "--instance", orders.instance])


def _write_to(log_path: Path) -> None:
    descriptor = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _deliver_again(draw: random.Random) -> None:
    """Let the consumer go back by some records now and then, as at-least-once delivery may."""
    getmany = AIOKafkaConsumer.getmany

    async def overlapping(this: Any, *arguments: Any, **options: Any) -> Any:
        batch = await getmany(this, *arguments, **options)
        for at, records in batch.items():
            if draw.random() < 0.4:
                this.seek(at, records[draw.randrange(len(records))].offset)
        return batch

    AIOKafkaConsumer.getmany = overlapping


def _drop_feedback(draw: random.Random) -> None:
    """Let Faust drop some of what it has fetched, as it may in a rebalance."""
    serve = FeedbackAgent.serve

    class Dropping:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def noack(self) -> "Dropping":
            self._stream.noack()
            return self

        async def events(self) -> AsyncIterator[Any]:
            async for event in self._stream.events():
                if draw.random() < 0.7:
                    yield event

    async def dropping(this: FeedbackAgent, stream: Any) -> None:
        await serve(this, Dropping(stream))

    FeedbackAgent.serve = dropping  # type: ignore[method-assign]
