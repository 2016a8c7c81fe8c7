"""Fail-points of a worker under test: wrapped around the public seams of the nearline layer, so that it has none itself."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from redis.connection import Connection

from nearline.records import Place, Record, Source
from nearline.states.watermarks import Watermarks
from nearline.states.writer import StateWriter
from nearline.trending import ImpressionsWriter, TrendingCounter
from shared import config as configuration
from shared import store
from shared.store import StateStore, StateWrite
from tests.chaos.orders import At, FailPoint, Of, Orders
from tests.chaos.shadow_count import ShadowCount


class Points:
    """Counts how often each point is passed, and does what was ordered for that time."""

    def __init__(self, orders: Orders, shadow: ShadowCount) -> None:
        self._orders = orders
        self._shadow = shadow
        kafka = configuration.load(orders.config_path).kafka
        self._topics: dict[str, Of] = {
            kafka.plays_topic: "plays",
            kafka.feedback_topic: "feedback",
            kafka.impressions_topic: "impressions",
        }
        self._passed: Counter[tuple[At, Of]] = Counter()
        self._lock = threading.Lock()
        self._local = threading.local()  # the batch in hand: its topic, and whether its states are on their way

    def pass_by(self, at: At, topic: str) -> FailPoint | None:
        """The worker is at a point with records of a topic. What it was told to do half way is returned, the rest is done."""
        of = self._topics.get(topic)
        if of is None:
            return None
        with self._lock:
            self._passed[at, of] += 1
            call = self._passed[at, of]
        due = [point for point in self._orders.fail if (point.at, point.of, point.call) == (at, of, call)]
        for point in due:
            if point.act == "kill half way":
                return point
            self._do(point)
        return None

    def _do(self, point: FailPoint) -> None:
        if point.act == "kill":
            die()
        elif point.act == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif point.act == "linger":
            Path(self._orders.flag_path).touch()
            time.sleep(point.number / 1000)
        elif point.act == "stall redis":
            os.kill(self._orders.redis_pid, signal.SIGSTOP)
        elif point.act == "hold link":
            Path(self._orders.flag_path).touch()
        elif point.act == "flush scripts":
            with store.connect(configuration.load(self._orders.config_path).redis) as client:
                client.script_flush()
        elif point.act == "fail reply":
            self._shadow.failing_reply = True
        elif point.act == "fail member":
            self._shadow.failing_member = point.number

    def install(self) -> None:
        """Wrap the seams. Once a process, after everything else that wraps them."""
        self._wrap_writing()
        self._wrap_trending()
        self._wrap_watermarks()
        self._wrap_consumer()

    def _wrap_writing(self) -> None:
        write_batch, write_states, read_response = StateWriter.write, StateStore.write, Connection.read_response
        local = self._local

        def batch(this: StateWriter, source: Any, records: Any) -> Any:
            local.topic = source.topic
            self.pass_by("batch", source.topic)
            self._shadow.begin(source, records)
            try:
                reached = write_batch(this, source, records)
            finally:
                self._shadow.end()
            self.pass_by("marked", source.topic)
            return reached

        def states(this: StateStore, writes: Sequence[StateWrite]) -> Any:
            half_way = self.pass_by("write", local.topic)
            if half_way is not None:
                write_states(this, writes[: max(1, half_way.number % max(1, len(writes)))])
                die()
            local.is_sending = True
            try:
                found = write_states(this, writes)
            finally:
                local.is_sending = False
            self.pass_by("written", local.topic)
            return found

        def response(this: Any, *arguments: Any, **options: Any) -> Any:
            if getattr(local, "is_sending", False):
                local.is_sending = False
                self.pass_by("sent", local.topic)
            return read_response(this, *arguments, **options)

        StateWriter.write = batch  # type: ignore[method-assign]
        StateStore.write = states  # type: ignore[method-assign]
        Connection.read_response = response  # type: ignore[method-assign]

    def _wrap_trending(self) -> None:
        write, count_pages, count_starts = ImpressionsWriter.write, TrendingCounter.count_pages, TrendingCounter.count_starts

        def batch(this: ImpressionsWriter, source: Source, records: Sequence[Record]) -> Any:
            self.pass_by("batch", source.topic)
            reached = write(this, source, records)
            self.pass_by("marked", source.topic)
            return reached

        def pages(this: TrendingCounter, source: Source, found: Iterable[Any]) -> Any:
            found = list(found)
            if self.pass_by("write", source.topic) is not None:
                count_pages(this, source, found[: len(found) // 2])
                die()
            counted = count_pages(this, source, found)
            self.pass_by("written", source.topic)
            return counted

        def starts(this: TrendingCounter, source: Source, found: Iterable[Any]) -> Any:
            counted = count_starts(this, source, found)
            self.pass_by("counted", source.topic)
            return counted

        ImpressionsWriter.write = batch  # type: ignore[method-assign]
        TrendingCounter.count_pages = pages  # type: ignore[method-assign]
        TrendingCounter.count_starts = starts  # type: ignore[method-assign]

    def _wrap_watermarks(self) -> None:
        resume = Watermarks.resume

        def resuming(this: Watermarks, place: Place, *arguments: Any, **options: Any) -> Any:
            self.pass_by("resuming", place.topic)
            return resume(this, place, *arguments, **options)

        Watermarks.resume = resuming  # type: ignore[method-assign]

    def _wrap_consumer(self) -> None:
        commit, subscribe = AIOKafkaConsumer.commit, AIOKafkaConsumer.subscribe

        async def committed(this: Any, offsets: Any = None) -> None:
            await commit(this, offsets)
            for topic in {at.topic for at in offsets or ()}:
                self.pass_by("committed", topic)

        def subscribed(this: Any, topics: Any = (), pattern: Any = None, listener: Any = None) -> None:
            for topic in {topic for topic in topics if listener is not None}:
                for name, at in (("on_partitions_revoked", "revoked"), ("on_partitions_assigned", "assigned")):
                    setattr(listener, name, self._after(getattr(listener, name), at, topic))
            subscribe(this, topics, pattern, listener)

        AIOKafkaConsumer.commit, AIOKafkaConsumer.subscribe = committed, subscribed

    def _after(self, handler: Callable[..., Any], at: Any, topic: str) -> Callable[..., Any]:
        async def handled(partitions: Any) -> None:
            told = handler(partitions)
            if told is not None:
                await told
            self.pass_by(at, topic)

        return handled


def die() -> None:
    """kill -9 of this process."""
    os.kill(os.getpid(), signal.SIGKILL)
