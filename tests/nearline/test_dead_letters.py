"""`python -m nearline dead-letters` on a real Kafka: what it lists, shows and sends once more."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from kafka import TopicPartition

from nearline.__main__ import main
from nearline.auditing.log_reader import LogReader
from nearline.dead_letters.letters import KEPT_BYTES, DeadLetter, DeadLetters
from nearline.records import Place
from shared import events, topics
from shared.config import Config
from shared.events import Feedback
from tests.nearline.event_log import START_MS, play
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow


class Bench:
    """Records on their topics, dead letters for them, and the commands."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self.path = settings(config, folder)
        self.producer = topics.producer(config.kafka, "test")
        self.letters = DeadLetters(config.kafka)

    def put(self, topic: str, key: bytes | None, value: bytes | None, reason: str, partition: int = 0) -> str:
        """Send a record, and put it aside as a worker does; its coordinates."""
        sent = self.producer.send(topic, key=key, value=value, partition=partition).get(timeout=10)
        letter = DeadLetter.of(topic, 1, sent.partition, sent.offset, key, value, reason)
        self.letters.send([letter])
        return letter.coordinates

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of one command."""
        done = CliRunner().invoke(main, ["dead-letters", arguments[0], "--config", str(self.path), *arguments[1:]])
        return done.exit_code, done.output

    def run_json(self, *arguments: str) -> list[Any]:
        return [json.loads(line) for line in self.run(*arguments, "--json")[1].splitlines()]

    def log(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of all records of a topic."""
        with LogReader(self.config.kafka) as reader:
            spans = reader.spans([Place(topic, number) for number in range(self.config.kafka.partitions)])
            return [(record.key, record.value) for piece in reader.read(spans) for record in piece.records]


@pytest.fixture
def bench(config: Config, tmp_path: Path) -> Any:
    made = Bench(config, tmp_path)
    yield made
    made.letters.close()
    made.producer.close()


def padded(event: Any) -> bytes:
    """An event whose JSON is longer than a dead letter keeps."""
    return events.encode(event)[:-1] + b',"more":"' + b"x" * (KEPT_BYTES + 10) + b'"}'


def test_they_are_counted_listed_shown_and_sent_once_more_when_they_can_be_read(bench: Bench) -> None:
    plays, feedback = bench.config.kafka.plays_topic, bench.config.kafka.feedback_topic
    good, long = play("m1", 1), play("m2", 2, at_ms=START_MS + 1)
    bad = bench.put(plays, b"m1", b'{"schema":1,\x1b', "not a JSON object: JSON is malformed (byte 12)")
    bench.put(plays, b"m1", b"[", "not a JSON object: JSON is malformed (byte 1)")
    now_good = bench.put(plays, b"m1", events.encode(good), "Object missing required field `weight`")
    now_long = bench.put(plays, b"m2", padded(long), "Object missing required field `weight`")
    again = DeadLetter.of(plays, 1, 0, 0, b"m1", b'{"schema":1,\x1b', "not a JSON object: JSON is malformed (byte 12)")
    bench.letters.send([again])  # a worker that died before its commit puts it aside again

    [listed] = bench.run_json("list")
    assert listed["letters"] == 4
    assert [(kind["topic"], kind["reason"], kind["letters"]) for kind in listed["by_reason"]] == [
        (plays, "not a JSON object: JSON is malformed (byte …)", 2),
        (plays, "Object missing required field `weight`", 2),
    ]
    assert listed["newest"][0]["coordinates"] == now_long
    [few] = bench.run_json("list", "--topic", plays, "--reason", "WEIGHT", "--newest", "1")
    assert (few["letters"], [short["coordinates"] for short in few["newest"]]) == (2, [now_long])
    assert bench.run_json("list", "--since", "2090-01-01")[0]["letters"] == 0
    assert bench.run_json("list", "--topic", feedback)[0]["letters"] == 0
    code, told = bench.run("list")
    assert code == 0 and told.startswith("4 dead letters, 0 of them replayed\n       2  ") and bad in told

    code, told = bench.run("show", bad)
    assert (code, "\x1b" in told) == (0, False)
    assert "\\x1b" in told and f"coordinates  {bad}" in told
    [shown] = bench.run_json("show", now_long)
    assert (shown["value"], shown["taken_from"], shown["today"]) == (padded(long).decode(), "topic", "can be read")

    code, told = bench.run("replay", "--all")
    assert (code, told.splitlines()[-1]) == (1, "2 replayed, 0 had been before, 2 stay")
    assert f"{bad}  stays: not a JSON object" in told
    there = bench.log(plays)
    assert len(there) == 6
    assert [there.count(record) for record in ((b"m1", events.encode(good)), (b"m2", padded(long)))] == [2, 2]
    assert bench.run("replay", "--all")[1].splitlines()[-1] == "0 replayed, 2 had been before, 2 stay"
    assert bench.run("replay", now_good, now_long) == (0, "0 replayed, 2 had been before, 0 stay\n")
    assert len(bench.log(plays)) == 6
    assert "(replayed: " in bench.run("list")[1] and bench.run_json("list")[0]["letters"] == 4
    assert bench.run_json("replay", now_good, "--again")[0]["status"] == "replayed"
    assert len(bench.log(plays)) == 7


def test_a_record_that_kafka_deleted_is_taken_from_the_letter_if_that_kept_all_of_it(bench: Bench) -> None:
    topic = bench.config.kafka.feedback_topic
    thumb = Feedback(schema=1, event_id="f1", member_id="m1", title_id="t1", kind="thumbs_up", at_ms=START_MS)
    short = bench.put(topic, b"m1", events.encode(thumb), "too new")
    long = bench.put(topic, b"m1", padded(thumb), "too new")
    with topics.admin(bench.config.kafka) as admin:
        admin.delete_records({TopicPartition(topic, 0): 2})
    other = msgspec.structs.replace(thumb, event_id="f2")
    elsewhere = DeadLetter.of(topic, 1, 0, 2, b"m1", events.encode(other), "of a topic that was created anew since")
    bench.producer.send(topic, key=b"m1", value=b"another record", partition=0).get(timeout=10)
    bench.letters.send([elsewhere])
    found = {outcome["coordinates"]: outcome for outcome in bench.run_json("replay", "--all")}
    assert (found[short]["status"], found[elsewhere.coordinates]["status"]) == ("replayed", "replayed")
    assert found[long]["detail"] == "the record is gone from its topic, and the dead letter kept only its beginning"
    assert sorted(bench.log(topic)) == sorted(
        [(b"m1", b"another record"), (b"m1", events.encode(thumb)), (b"m1", events.encode(other))]
    )
    [shown] = bench.run_json("show", long)
    assert (shown["taken_from"], shown["is_whole"], len(shown["value"])) == ("letter", False, KEPT_BYTES)


def test_what_cannot_be_meant_is_one_sentence(bench: Bench) -> None:
    topic = bench.config.kafka.plays_topic
    binary = bench.put(topic, None, b"\xff\xfe", "no key")
    assert bench.run_json("show", binary)[0]["value"] == {"base64": base64.b64encode(b"\xff\xfe").decode()}
    nothing = f"error: there is no dead letter {topic}/0@77"
    assert bench.run("show", f"{topic}/0@77") == (2, nothing + "\n")
    assert bench.run("replay", binary, f"{topic}/0@77") == (2, nothing + "; nothing was sent\n")
    assert bench.run("show", "77")[1].startswith("error: '77' are no coordinates; topic/partition@offset is expected")
    for arguments in ((), ("--all", binary)):
        assert bench.run("replay", *arguments) == (
            2,
            "error: name the letters to replay by their coordinates, or give --all\n",
        )
