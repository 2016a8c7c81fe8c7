"""A Bytewax dataflow that decodes and folds by member, and writes nothing: no Redis, no fence, no recovery.

Its own Kafka source, its stateful operator that takes a member's events of a batch together, and the worker's decoder and
reducer.
"""

import sys
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from infra.bench.nearline.rivals.measuring import Meter, job_of
from shared import events, state
from shared.events import Play
from shared.state import EMPTY, MemberState

BATCH_EVENTS = 4000  # of one partition


class Fold(StatefulBatchLogic[Play, int, MemberState]):
    """One member's state; gives on how many events it took."""

    def __init__(self, resumed: MemberState | None) -> None:
        self._state = resumed or EMPTY

    def on_batch(self, values: list[Play]) -> tuple[list[int], bool]:
        self._state = state.fold(self._state, values)
        return [len(values)], StatefulBatchLogic.RETAIN

    def snapshot(self) -> MemberState:
        return self._state


class Count(StatelessSinkPartition[tuple[str, int]]):
    """Counts, and ends the process when it has seen enough."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def write_batch(self, items: list[tuple[str, int]]) -> None:
        if self._meter.add(sum(count for _, count in items)):
            self._meter.finish()


class Sink(DynamicSink[tuple[str, int]]):
    """Where the dataflow ends."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Count:
        return Count(self._meter)


def main() -> None:
    """Run the dataflow until its job is done."""
    job = job_of(sys.argv[1:])
    config, meter = job.config, Meter(job)

    def decode(messages: list[Any]) -> list[tuple[str, Play]]:
        meter.begin()
        plays = [events.decode_play(message.value, message.key) for message in messages]
        return [(play.member_id, play) for play in plays]

    flow = Dataflow("plays")
    source = KafkaSource(
        config.kafka.bootstrap_servers.split(","), [config.kafka.plays_topic], batch_size=config.nearline.batch_events
    )
    plays = op.flat_map_batch("decode", op.input("kafka", flow, source), decode)
    counts = op.stateful_batch("fold", plays, Fold)
    op.output("count", counts, Sink(meter))
    run_main(flow)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
