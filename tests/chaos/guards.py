"""Takes one guard out of a worker under test. What is left must then lose or double events, or its test shows nothing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition

import nearline.states.writer
from nearline.reading.batch_reader import BatchReader
from nearline.reading.feedback_agent import FeedbackAgent
from nearline.records import Place
from nearline.states.redis_histories import RedisHistories
from nearline.states.watermarks import Watermarks
from nearline.states.writer import StateWriter
from nearline.trending import counting
from shared.fence import Position
from shared.store import StateStore, StateWrite, StoredState
from tests.chaos.orders import Guard


def take_out(guard: Guard) -> None:
    """Patch this process so that it works without the guard. Before fail-points are installed."""
    {
        "order": _acknowledge_first,
        "watermark": _start_from_the_commit,
        "lost writes": _notice_nothing,
        "look": _look_at_nothing,
        "placing": _take_what_came_before_the_place,
        "fence": lambda: None,  # see shadow_count
        "seen": _fold_again,
        "once": _count_again,
        "gap": _go_past_a_gap,
        "reply": _look_at_no_reply,
        "reload": _take_a_forgotten_script_for_run,
        "version": lambda: None,  # see older_version
    }[guard]()


def _acknowledge_first() -> None:
    getmany, write, begin = AIOKafkaConsumer.getmany, StateWriter.write, Watermarks.__init__
    known: list[Watermarks] = []

    def remembered(this: Watermarks, *arguments: Any, **options: Any) -> None:
        begin(this, *arguments, **options)
        known.append(this)

    async def committed(this: Any, *arguments: Any, **options: Any) -> Any:
        batch = await getmany(this, *arguments, **options)
        if batch:
            known[0].advance({Place(at.topic, at.partition): records[-1].offset + 1 for at, records in batch.items()})
            await this.commit({at: records[-1].offset + 1 for at, records in batch.items()})
        return batch

    def marked(this: StateWriter, source: Any, records: Any) -> Any:
        known[0].advance({Place(source.topic, record.partition): record.offset + 1 for record in records})
        return write(this, source, records)

    Watermarks.__init__ = remembered  # type: ignore[method-assign]
    AIOKafkaConsumer.getmany = committed
    StateWriter.write = marked  # type: ignore[method-assign]


def _start_from_the_commit() -> None:
    resume = Watermarks.resume

    def resuming(this: Watermarks, place: Place, committed: int | None) -> int:
        resume(this, place, committed)
        return committed or 0

    Watermarks.resume = resuming  # type: ignore[method-assign]


def _notice_nothing() -> None:
    advance = Watermarks.advance

    def trusting(this: Watermarks, place_offsets: Mapping[Place, int]) -> None:
        this._known.clear()
        advance(this, place_offsets)

    RedisHistories._met = lambda this, connection: None  # type: ignore[method-assign]
    Watermarks.check = lambda this, place_offsets: None  # type: ignore[method-assign]
    Watermarks.advance = trusting  # type: ignore[method-assign]
    nearline.states.writer._must_be_ahead = lambda member_id, ours, there: None


def _look_at_nothing() -> None:
    Watermarks.look = lambda this: None  # type: ignore[method-assign]


def _take_what_came_before_the_place() -> None:
    assigned = BatchReader.on_partitions_assigned

    async def careless(this: BatchReader, partitions: Collection[TopicPartition]) -> None:
        generation = this._generation
        await assigned(this, partitions)
        this._generation = generation + 1

    BatchReader.on_partitions_assigned = careless  # type: ignore[method-assign]


def _fold_again() -> None:
    Position.is_after = lambda this, other: True  # type: ignore[method-assign]
    nearline.states.writer._is_all_fresh = lambda *told: True


def _count_again() -> None:
    for name in ("COUNT_STARTS", "COUNT_PAGES"):
        script = getattr(counting, name)
        for guard, nothing in (("offset <= reached[place]", "false"), ("ARGV[number + 1]) == 1", "ARGV[number + 1]) >= 0")):
            assert guard in script, f"{name} has no longer {guard!r}"
            script = script.replace(guard, nothing)
        setattr(counting, name, script)


def _go_past_a_gap() -> None:
    async def past(this: FeedbackAgent, partition: int, first: int, end: int) -> None:
        this._next[partition] = end

    FeedbackAgent._catch_up = past  # type: ignore[method-assign]


def _look_at_no_reply() -> None:
    write = StateStore.write

    def trusting(this: StateStore, writes: Sequence[StateWrite]) -> list[StoredState | None]:
        try:
            return write(this, writes)
        except redis.ResponseError:
            return [None] * len(writes)

    StateStore.write = trusting  # type: ignore[method-assign]


class _ForgottenError(Exception):
    """Stands for a reply that was taken for success."""


def _take_a_forgotten_script_for_run() -> None:
    write, load = StateStore.write, redis.Redis.script_load
    depth: list[int] = []

    def loaded(this: Any, script: Any) -> Any:
        if depth:
            raise _ForgottenError
        return load(this, script)

    def trusting(this: StateStore, writes: Sequence[StateWrite]) -> list[StoredState | None]:
        depth.append(1)
        try:
            return write(this, writes)
        except _ForgottenError:
            return [None] * len(writes)
        finally:
            depth.pop()

    redis.Redis.script_load = loaded  # type: ignore[method-assign]
    StateStore.write = trusting  # type: ignore[method-assign]
