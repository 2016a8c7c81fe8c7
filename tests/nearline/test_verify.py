"""Verify and repair on real Kafka and Redis: what is found, what is put right, and that nothing newer gets lost meanwhile."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.auditing import repair, verify
from nearline.auditing.audit import Auditor, Bar, Report
from nearline.auditing.differences import describe
from nearline.auditing.log_fold import Log
from nearline.auditing.log_reader import LogReader
from nearline.auditing.repair import Repairer
from nearline.records import Place
from nearline.states.watermarks import Watermarks
from shared import fence as fences
from shared import keys, marks, state, store, topics
from shared.config import Config
from shared.fence import Position
from shared.marks import INSTALLED
from shared.state import EMPTY
from shared.store import StateStore, StateWrite
from tests.nearline.event_log import START_MS, EventLog, play, states_in_redis
from tests.parity.test_stream_equals_fold import settings

LIMIT_S = 90.0


def test_a_difference_names_the_part_and_the_titles() -> None:
    left = state.fold(EMPTY, [play("m", 1, title="a"), play("m", 2, title="b", position_s=1.0)])
    right = state.fold(EMPTY, [play("m", 2, title="b", position_s=2.0), play("m", 3, title="c", position_s=99.0)])
    assert describe(left, left) == ""
    told = describe(left, right)
    assert told == "played lacks 'c', has what the log does not: 'a', has other values of 'b'; finished lacks 'c'"
    many = state.fold(EMPTY, [play("m", n, title=f"t{n}") for n in range(5)])
    assert describe(EMPTY, many) == "played lacks 't0', 't1', 't2' and 2 more"


def test_marks_stand_beside_the_topics_and_survive_a_merge() -> None:
    at = Position(1, 2, 30)
    fence = marks.erase({"plays": at}) | marks.imported(4)
    again = fences.decode(fences.encode(marks.repaired(marks.repaired(fence))))
    assert marks.topics(again) == {"plays": at}
    assert marks.erased(again) == {"plays": at}
    assert again[marks.REPAIRED].offset == 2
    assert marks.erased(fences.merge(again, {"plays": Position(1, 2, 99)})) == {"plays": at}
    assert marks.imported(0) == {}


@contextmanager
def auditing(config: Config, members_per_pass: int = 1000) -> Iterator[Auditor]:
    with store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        yield Auditor(config, client, Log(config, client, reader), members_per_pass, Bar())


def audit(config: Config, members_per_pass: int = 1000) -> Report:
    with auditing(config, members_per_pass) as auditor:
        return auditor.run()


def mend(config: Config, members_per_pass: int = 1000) -> int:
    with auditing(config, members_per_pass) as auditor, store.connect(config.redis) as client:
        repairer = Repairer(auditor, client, config.redis.namespace)
        auditor.run(repairer.take)
    return repairer.repaired


def declare_all_taken_in(config: Config) -> None:
    """Move the watermarks to the ends, as a worker does whose writes Redis then loses."""
    names = [config.kafka.plays_topic, config.kafka.feedback_topic]
    with store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        ends = {place: span.end for place, span in Log(config, client, reader).spans().items()}
        Watermarks(client, config.redis.namespace, topics.epochs(client, config.redis.namespace, config.kafka, names)).advance(
            ends
        )


@pytest.mark.slow
def test_each_kind_of_finding_and_its_remedy(config: Config) -> None:
    log = EventLog(config)
    log.invent(1500, members=40, seed=4)
    log.records.insert(200, (config.kafka.plays_topic, b"m1", b"not JSON"))
    log.send()
    expected = log.oracle()
    everyone = len(expected)

    report = audit(config)
    assert (report.members, report.waiting) == (everyone, everyone)  # no worker has been here
    assert mend(config) == 0

    declare_all_taken_in(config)
    report = audit(config)
    assert (report.members, report.missing) == (everyone, everyone)
    assert mend(config, members_per_pass=7) == everyone
    assert states_in_redis(config, list(expected)) == expected
    report = audit(config, members_per_pass=7)
    assert (report.members, report.equal) == (everyone, everyone)
    assert report.records >= 2 * len(log.records)  # some 10 members a partition, 7 at a time

    with store.connect(config.redis) as client:
        states = StateStore(client, config.redis.namespace)

        def key(member: str) -> str:
            return keys.state(config.redis.namespace, member)

        whole = {member: one.decode() for member, one in zip(expected, states.read(list(expected)), strict=True)}
        strange = state.encode(state.fold(whole["m4"][0], [play("m4", 1, title="never", at_ms=START_MS + 10**9)]))
        plays = config.kafka.plays_topic
        past = whole["m7"][1] | {plays: whole["m7"][1][plays]._replace(offset=10**9)}
        client.delete(key("m1"))
        client.hset(key("m2"), "s", b"\x02garbage")
        client.hdel(key("m3"), "s")
        client.hset(key("m4"), "s", strange)
        client.delete(key("m5"))
        client.set(key("m5"), "no hash")
        client.hset(key("m6"), "f", b"nonsense")
        client.hset(key("m7"), "f", fences.encode(past))
        mine = [event for event in plain(log) if event.member_id == "m8"]
        client.hset(key("m8"), mapping={"s": state.encode(state.fold(EMPTY, mine[:1])), "f": b""})
        client.hset(key("m9"), mapping={"s": strange, "f": fences.encode(whole["m9"][1] | {INSTALLED: Position(0, 0, 1)})})
        client.hset(key("stranger"), mapping={"s": strange, "f": fences.encode(whole["m1"][1])})
        client.hset(key("imported {1}"), mapping={"s": strange, "f": fences.encode(marks.imported(3))})

    report = audit(config)
    found = {one.member_id: one for one in report.findings}
    assert {member: one.verdict for member, one in found.items()} == {
        "m1": "missing",
        **{f"m{number}": "differing" for number in range(2, 10)},
        "stranger": "unknown",
    }
    assert (report.members, report.contained, report.equal) == (everyone + 2, 1, everyone - 9)
    assert "corrupt" in found["m2"].words and "without a state" in found["m3"].words
    assert "something else than a hash" in found["m5"].words
    assert found["m4"].words == "played has what the log does not: 'never'"
    assert "past the end" in found["m7"].words and "lie past its fence" in found["m8"].words

    assert mend(config) == 9
    with store.connect(config.redis) as client:  # whoever held a damaged state in memory may not put it back
        held_since = StateWrite("m4", fences.encode(whole["m4"][1]), fences.encode(past), strange)
        [refused] = StateStore(client, config.redis.namespace).write([held_since])
        assert refused is not None and refused.state == expected["m4"]
    report = audit(config)
    assert {one.member_id: one.verdict for one in report.findings} == {"stranger": "unknown"}  # is not ours to remove
    assert (report.equal, report.contained) == (everyone - 1, 2)
    held = states_in_redis(config, list(expected))
    imported = state.decode(held.pop("m9"))
    assert held == {member: blob for member, blob in expected.items() if member != "m9"}
    assert "never" in {played.title_id for played in imported.played}  # it may be imported: the log cannot know
    assert state.encode(state.merge(imported, whole["m9"][0])) == state.encode(imported)


def plain(log: EventLog) -> list[object]:
    from shared import events

    return [
        events.decode_play(value, key)
        for topic, key, value in log.records
        if topic == log.config.kafka.plays_topic and value != b"not JSON"
    ]


@pytest.mark.slow
def test_a_repair_reaches_past_the_cut(config: Config) -> None:
    """A worker may have gone on since; a state behind what it has seen would end it."""
    log = EventLog(config)
    log.invent(300, members=10, seed=8)
    log.send()
    declare_all_taken_in(config)
    with auditing(config) as auditor, store.connect(config.redis) as client:
        later = EventLog(config)
        later.invent(100, members=10, seed=9)
        later.send()
        auditor.run(Repairer(auditor, client, config.redis.namespace).take)
    log.records += later.records
    expected = log.oracle()
    assert states_in_redis(config, list(expected)) == expected


@pytest.mark.slow
def test_what_kafka_has_removed_is_not_asked_for(config: Config) -> None:
    log = EventLog(config)
    log.invent(600, members=20, seed=6)
    log.send()
    declare_all_taken_in(config)
    mend(config)
    expected = log.oracle()
    remove_records(config, keep=20)

    report = audit(config)
    assert (report.members, report.equal + report.contained) == (len(expected), len(expected))
    assert report.contained > 0
    with store.connect(config.redis) as client:
        client.hset(keys.state(config.redis.namespace, "m3"), "s", state.encode(EMPTY))
    [one] = audit(config).findings
    assert (one.member_id, one.verdict) == ("m3", "differing")
    assert mend(config) == 1
    assert audit(config).is_sound


def remove_records(config: Config, keep: int) -> None:
    """Let Kafka drop all but the newest records of each partition, as retention does."""
    from kafka import TopicPartition

    with store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        spans = Log(config, client, reader).spans()
    cuts = {TopicPartition(place.topic, place.partition): span.end - keep for place, span in spans.items() if span.end > keep}
    assert cuts
    with topics.admin(config.kafka) as admin:
        admin.delete_records(cuts)


@pytest.mark.slow
def test_repair_while_a_worker_runs(config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EventLog(config)
    log.invent(2000, members=60, seed=2)
    log.send()
    path = settings(config, tmp_path)
    report_path = tmp_path / "report.json"
    with NearlineWorker(path) as worker, flowing(config, [f"busy{n}" for n in range(20)]) as more:
        wait_caught_up(config, LIMIT_S)
        assert verify.run(str(path), str(report_path), 1000, 30.0) == 0
        assert json.loads(report_path.read_bytes())["differing"] == 0

        with store.connect(config.redis) as client:
            for number in range(1, 7):
                key = keys.state(config.redis.namespace, f"m{number}")
                there = client.hgetall(key)
                client.delete(key)
                older = {"s": state.encode(EMPTY), "f": fences.encode({config.kafka.plays_topic: Position(1, 0, 0)})}
                made = {1: None, 2: older, 3: {"s": b"\x02", "f": there[b"f"]}, 4: {"s": older["s"], "f": there[b"f"]}}
                if damage := made.get(number, older):
                    client.hset(key, mapping=damage)
        assert verify.run(str(path), None, 1000, 30.0) == 1
        out = capsys.readouterr().out
        assert "'m1' missing" in out and "'m3' differing" in out
        assert repair.run(str(path), str(report_path), 1000, 30.0) == 0
        assert "6 states replaced" in capsys.readouterr().out
        told = json.loads(report_path.read_bytes())
        assert told["members"] == told["equal"] > 60

        # The worker holds the repaired members in memory as they were; what comes next must not bring that back.
        later = EventLog(config)
        for number in range(1, 7):
            later.add(play(f"m{number}", 10_000 + number, title="new", at_ms=START_MS + 10**8))
        later.send()
        log.records += later.records
        more.stop()
        log.records += more.log.records
        wait_caught_up(config, LIMIT_S)
        assert "went back" not in worker.output()
        expected = log.oracle()
        assert states_in_redis(config, list(expected)) == expected
        assert verify.run(str(path), None, 1000, 30.0) == 0


class Flow:
    """Sends events without a pause, from a thread."""

    def __init__(self, config: Config, members: list[str]) -> None:
        self.log = EventLog(config)
        self._config, self._members = config, members
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def stop(self) -> None:
        self._is_ending.set()
        self._thread.join(30)

    def _send(self) -> None:
        number = 0
        while not self._is_ending.wait(0.01):
            some = EventLog(self._config)
            for member in self._members:
                number += 1
                some.add(play(member, number, title=f"t{number % 70}", at_ms=START_MS + number))
            some.send()
            self.log.records += some.records


@contextmanager
def flowing(config: Config, members: list[str]) -> Iterator[Flow]:
    flow = Flow(config, members)
    try:
        yield flow
    finally:
        flow.stop()


@pytest.mark.slow
def test_places_cover_both_topics(config: Config) -> None:
    with store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        log = Log(config, client, reader)
        assert [len(group) for group in log.groups()] == [2] * config.kafka.partitions
        assert Place(config.kafka.plays_topic, 0) in log.groups()[0]
