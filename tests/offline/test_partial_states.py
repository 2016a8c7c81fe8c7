"""Wherever the log is cut, and however little memory a task has, the merged states are those of a plain fold, fence included."""

import random
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pytest

from offline.partial_states import LIMITS, PLAY_COLUMNS, RECORD_COLUMNS, Limits, fold_plays, fold_records, merge
from shared import events, fence, marks, state
from shared.accumulator import Accumulator
from shared.config import Config
from shared.errors import EventError
from shared.events import Feedback, Play
from shared.fence import Fence, Position
from shared.lake import ArrowFunction
from shared.state import EMPTY
from tests.nearline.event_log import EventLog, play

PLAYS, FEEDBACK = Config().kafka.plays_topic, Config().kafka.feedback_topic
PARTITIONS = 3
TINY = Limits(waiting_bytes=1, states_bytes=1)
"""Every batch is folded by itself, and its states given up."""
SMALL = Limits(waiting_bytes=20_000, states_bytes=60_000)

Record = tuple[bytes | None, bytes | None, int, int, int, int]


class Log:
    """An invented log as the lake has it: records of two epochs of both topics, some unreadable, and imported plays."""

    def __init__(self, seed: int) -> None:
        log = EventLog(Config())
        log.invent(1500, members=25, seed=seed)
        late = events.encode(play("m1", 0, at_ms=2 * LONG_AFTER_MS))  # its clock is wrong: refused for when it arrived
        log.records += [(PLAYS, b"m1", b"not JSON"), (PLAYS, b"m2", events.encode(play("m1", 1))), (PLAYS, b"m1", late)]
        self.imported = [play(f"m{number % 40}", 10_000 + number, title=f"t{number % 7}") for number in range(200)]
        self.records: dict[str, list[Record]] = {PLAYS: [], FEEDBACK: []}
        self._log: dict[str, list[Play | Feedback]] = {}
        self._fences: dict[str, Fence] = {}
        draw = random.Random(seed)
        first_of_second_epoch = draw.randrange(len(log.records))
        for number, (topic, key, value) in enumerate(log.records):
            assert key is not None
            at = Position(1 + (number >= first_of_second_epoch), key[-1] % PARTITIONS, number % first_of_second_epoch)
            self.records[topic].append((key, value, LONG_AFTER_MS, at.epoch, at.offset, at.partition))
            self._expect(topic, key, value, at)
        for imported in self.imported:
            self._log.setdefault(imported.member_id, []).append(imported)

    def _expect(self, topic: str, key: bytes, value: bytes | None, at: Position) -> None:
        decode = events.decode_play if topic == PLAYS else events.decode_feedback
        try:
            event: Play | Feedback = decode(value, key, LONG_AFTER_MS)
        except EventError:
            return
        self._log.setdefault(event.member_id, []).append(event)
        fence.advance(self._fences.setdefault(event.member_id, {}), topic, at)

    def expected(self) -> dict[str, tuple[bytes, bytes]]:
        """By the plainest fold there is."""
        found = {}
        for member_id, log in self._log.items():
            imported = sum(event.member_id == member_id for event in self.imported)
            reached = self._fences.get(member_id, {}) | marks.imported(imported)
            found[member_id] = (state.encode(state.fold(EMPTY, log)), fence.encode(reached))
        return found


LONG_AFTER_MS = 1_800_000_000_000


def batches(rows: Sequence[tuple[object, ...]], columns: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), size):
        arrays = [pa.array(column) for column in zip(*rows[start : start + size], strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def partial_states(log: Log, limits: Limits, draw: random.Random) -> list[pa.RecordBatch]:
    """What some tasks make of it, each of some records in any order."""
    found: list[pa.RecordBatch] = []

    def run(function: ArrowFunction, rows: Sequence[tuple[object, ...]], columns: Sequence[str]) -> None:
        shuffled = draw.sample(rows, len(rows))
        cut = draw.randrange(len(rows))
        for part in (shuffled[:cut], shuffled[cut:]):
            found.extend(function(batches(part, columns, 100)))

    run(fold_records(PLAYS, events.decode_play, limits), log.records[PLAYS], RECORD_COLUMNS)
    run(fold_records(FEEDBACK, events.decode_feedback, limits), log.records[FEEDBACK], RECORD_COLUMNS)
    imported = [tuple(getattr(event, name) for name in PLAY_COLUMNS) for event in log.imported]
    run(fold_plays(limits), imported, PLAY_COLUMNS)
    return found


def merged(parts: Iterable[pa.RecordBatch]) -> dict[str, tuple[bytes, bytes]]:
    sorted_parts = pa.Table.from_batches(parts).sort_by("member_id").to_batches(max_chunksize=7)  # members straddle batches
    rows = [row for batch in merge(sorted_parts) for row in batch.to_pylist()]
    assert len({row["member_id"] for row in rows}) == len(rows)
    return {row["member_id"]: (row["state"], row["fence"]) for row in rows}


@pytest.mark.parametrize("limits", [LIMITS, SMALL, TINY])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cutting_the_log_changes_no_byte(limits: Limits, seed: int) -> None:
    log = Log(seed)
    assert merged(partial_states(log, limits, random.Random(seed))) == log.expected()


def test_a_task_gives_up_its_states_when_they_grow_too_large() -> None:
    log = Log(4)
    rows = {
        limits: sum(part.num_rows for part in partial_states(log, limits, random.Random(4))) for limits in (TINY, SMALL, LIMITS)
    }
    assert rows[TINY] > 2 * rows[SMALL] > 4 * len(log.expected())
    assert rows[SMALL] > rows[LIMITS]


def test_the_events_of_a_member_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    folds: list[int] = []
    fold = Accumulator.fold
    monkeypatch.setattr(Accumulator, "fold", lambda self, log: folds.append(len(log)) or fold(self, log))
    rows = [(b"m1", events.encode(play("m1", number)), LONG_AFTER_MS, 1, number, 0) for number in range(1000)]
    list(fold_records(PLAYS, events.decode_play)(batches(rows, RECORD_COLUMNS, 100)))
    assert folds == [1000]
    folds.clear()
    waiting = Limits(waiting_bytes=sum(len(row[1]) for row in rows) // 4)
    list(fold_records(PLAYS, events.decode_play, waiting)(batches(rows, RECORD_COLUMNS, 100)))
    assert sum(folds) == 1000
    assert max(folds) <= 300


def test_a_member_with_a_great_many_parts_is_merged_some_at_a_time() -> None:
    many = [play("m1", number, title=f"t{number}", at_ms=LONG_AFTER_MS + number) for number in range(300)]
    parts = [
        ("m1", state.encode(state.fold(EMPTY, [event])), fence.encode({PLAYS: Position(1, 0, at)}))
        for at, event in enumerate(many)
    ]
    [batch] = list(merge(batches(parts, ("member_id", "state", "fence"), 50)))
    [row] = batch.to_pylist()
    assert row["state"] == state.encode(state.fold(EMPTY, many))
    assert fence.decode(row["fence"]) == {PLAYS: Position(1, 0, 299)}
