"""Bad events on the stream, to a real worker: each is put aside with its reason or follows a stated rule, and what comes behind
it in its partition is read."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.dead_letters.letters import DeadLetter, decode
from shared import events, state, store
from shared.config import Config
from shared.events import Feedback
from tests.nearline.event_log import EventLog, play, states_in_redis
from tests.parity.test_stream_equals_fold import settings, values

pytestmark = pytest.mark.slow

LIMIT_S = 90.0
HOUR_MS = 3_600_000
HEAVY_PLAYS = 20_000
STATE_BYTES = 64 * 1024
"""More than any state may have."""


def changed(**fields: object) -> bytes:
    """A good play of m1 with other fields."""
    return msgspec.json.encode({**msgspec.to_builtins(play("m1", 0)), **fields})


def bad_plays(now_ms: int) -> Mapping[str, tuple[bytes | None, bytes | None, str]]:
    """Case to key, value, and what the reason must say."""
    whole = events.encode(play("m1", 0))
    return {
        "not JSON": (b"m1", b'{"schema":1,', "not a JSON object"),
        "nothing": (b"m1", b"", "not a JSON object"),
        "another encoding": (b"m1", whole.decode().encode("utf-16"), "not a JSON object"),
        "not UTF-8": (b"m1", whole.replace(b"t1", b"\xff\xfe"), "not a JSON object"),
        "half a surrogate": (b"m1", whole.replace(b'"t1"', b'"\\ud800"'), "not a JSON object"),
        "no number": (b"m1", whole.replace(b"60.0", b"NaN"), "not a JSON object"),
        "deep nesting": (b"m1", whole[:-1] + b',"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "recursion"),
        "a list": (b"m1", b"[" + whole + b"]", "Expected `object`, got `array`"),
        "text for a number": (b"m1", changed(position_s="60"), "Expected `float`, got `str` - at `$.position_s`"),
        "a number for text": (b"m1", changed(title_id=7), "Expected `str`, got `int` - at `$.title_id`"),
        "a missing field": (b"m1", b'{"schema":1}', "missing required field"),
        "an unknown kind": (b"m1", changed(kind="rewind"), "Invalid enum value 'rewind'"),
        "no running time": (b"m1", changed(runtime_s=0), "running time is positive"),
        "a long id": (b"m1", changed(title_id="t" * 257), "length <= 256"),
        "an unknown schema": (b"m1", changed(schema=2), "schema is 2; this version reads schema 1"),
        "oversize": (b"m1", changed(more="x" * events.MAX_EVENT_BYTES), "at most 65536 are taken"),
        "no key": (None, whole, "no key"),
        "another's key": (b"m2", whole, "is not its member_id"),
        "no value": (b"m1", None, "no value"),
        "seconds": (b"m1", changed(at_ms=1_700_000_000), "looks like seconds"),
        "before 1970": (b"m1", changed(at_ms=-1), "Expected `int` >= 0"),
        "after 2100": (b"m1", changed(at_ms=7_258_118_400_000), "Expected `int` <= "),
        "tomorrow night": (b"m1", changed(at_ms=now_ms + 26 * HOUR_MS), "after the record came to Kafka"),
        "beyond all numbers": (b"m1", changed(at_ms=10**30), "Expected `int` <= "),
    }


def test_bad_events_go_aside_and_their_partition_goes_on(config: Config, tmp_path: Path) -> None:
    kafka, log = config.kafka, EventLog(config)
    now_ms = time.time_ns() // 1_000_000
    cases = bad_plays(now_ms)
    due: dict[str, str] = {}  # value as the dead letter has it, to what its reason must say
    for number, (key, value, reason) in enumerate(cases.values()):
        log.records.append((kafka.plays_topic, key, value))
        log.add(play("m1", 1000 + number, title=f"behind-{number}"))
        letter = DeadLetter.of(kafka.plays_topic, 1, 0, 0, key, value, "")
        due[f"{letter.key} {letter.value}"] = reason
    for key, value in ((b"m1", b"{"), (b"m1", events.encode(play("m1", 0))), (b"m1", None)):
        log.records.append((kafka.feedback_topic, key, value))
    log.add(Feedback(schema=1, event_id="f1", member_id="m1", title_id="t1", kind="thumbs_up", at_ms=now_ms))

    # What is odd, and taken: the rules are that unknown fields are left out, that a clock may be a day ahead, that a time of
    # zero is an old time, that a place beyond the end is the end, and that titles need not be in the catalogue.
    taken: list[Any] = [
        play("odd", 1, title="nobody has heard of it", at_ms=now_ms),
        play("odd", 2, title="ahead", at_ms=now_ms + 22 * HOUR_MS),
        play("odd", 3, title="zero", at_ms=0),
        play("odd", 4, title="beyond the end", position_s=1e6),
        play("ünlikely/{}'\x00", 5, title="t\x00\n"),
    ]
    for event in taken:
        log.add(event)
    log.records.append((kafka.plays_topic, b"odd", changed(member_id="odd", title_id="t1", event_id="p6", more={"deep": [1]})))
    for number in range(HEAVY_PLAYS):
        at_ms = 1_600_000_000_000 + number * 1000
        log.add(play("heavy", number, title=f"t{number % 7001}", at_ms=at_ms, position_s=95.0 if number % 2 else 40.0))

    with NearlineWorker(settings(config, tmp_path)) as worker:
        log.send()
        wait_caught_up(config, LIMIT_S)
        assert worker.is_running
    assert worker.exit_code == 0
    good = [record for record in log.records if record[2] != cases["tomorrow night"][1]]  # the oracle knows no time of arrival
    expected = EventLog(config, good).oracle()
    found = states_in_redis(config, list(expected))
    assert found == expected

    letters = [decode(value) for value in values(config, kafka.dead_letters_topic)]
    plays = {f"{letter.key} {letter.value}": letter.reason for letter in letters if letter.topic == kafka.plays_topic}
    assert plays.keys() == due.keys()
    assert {letter: reason for letter, reason in plays.items() if due[letter] not in reason} == {}
    assert sorted(letter.reason.partition(":")[0] for letter in letters if letter.topic == kafka.feedback_topic) == [
        "Invalid enum value 'progress' - at `$.kind`",
        "not a JSON object",
        "the record has no value",
    ]
    assert len(letters) == len(cases) + 3

    behind = {f"behind-{number}" for number in range(len(cases))}
    assert behind <= {mark.title_id for mark in state.decode(found["m1"]).played}
    assert {"nobody has heard of it", "ahead", "zero", "beyond the end", "t1"} == {
        mark.title_id for mark in state.decode(found["odd"]).played
    }
    assert len(found["heavy"]) < STATE_BYTES
    with store.connect(config.redis) as client:
        assert len(client.keys(f"{config.redis.namespace}:*:state")) == len(found)
