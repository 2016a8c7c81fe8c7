"""A member is erased from Redis: workers that hold the state, are behind, or read all again do not bring it back."""

from pathlib import Path

import pytest

from infra.local.settings import to_toml
from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.auditing.log_fold import Log
from nearline.auditing.log_reader import LogReader
from nearline.erasing import erase
from nearline.erasing.erase import RedisErasure, Removed
from shared import erasure, keys, state, store
from shared.config import Config
from shared.state import EMPTY
from tests.nearline.event_log import START_MS, EventLog, play, states_in_redis
from tests.nearline.test_verify import audit
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow

LIMIT_S = 90.0
KEPT_S = 3600.0


def from_redis(config: Config, member: str, kept_s: float | None = KEPT_S) -> Removed:
    with store.connect(config.redis) as client, LogReader(config.kafka) as reader:
        ends = erasure.ends(client, config)
        return RedisErasure(client, config, Log(config, client, reader), ends, kept_s).run(member)


def expiry_s(config: Config, member: str) -> int:
    with store.connect(config.redis) as client:
        return int(client.ttl(keys.state(config.redis.namespace, member)))


def test_a_worker_takes_the_erasure_over_and_reading_all_again_brings_nothing_back(config: Config, tmp_path: Path) -> None:
    log = EventLog(config)
    log.invent(600, members=12, seed=3)
    log.add(play("behind", 1))
    log.send()
    expected = log.oracle()
    with store.connect(config.redis) as client:
        namespace = config.redis.namespace
        client.set(keys.candidates(namespace, "m1", "v1"), b"x")
        client.set(keys.candidates(namespace, "m11", "v1"), b"x")
        client.zadd(f"{namespace}:signals:{config.kafka.plays_topic}:0", {"m1": 1, "m11": 2})

    removed = from_redis(config, "behind")  # no worker has been here, so Redis knows nothing of the member
    assert (removed.left, states_in_redis(config, ["behind"])["behind"]) == (0, state.encode(EMPTY))
    with NearlineWorker(settings(config, tmp_path)) as worker:
        wait_caught_up(config, LIMIT_S)
        removed = from_redis(config, "m1")
        assert (removed.keys, removed.left) == (3, 0)
        assert 0 < expiry_s(config, "m1") <= KEPT_S
        more = EventLog(config)
        more.add(play("m2", 9001, title="after", at_ms=START_MS + 10**7))
        more.send()
        wait_caught_up(config, LIMIT_S)
        assert "went back" not in worker.output()

    with store.connect(config.redis) as client:  # all of Kafka's log is read once more
        client.delete(keys.watermark(config.redis.namespace, config.kafka.plays_topic))
        assert client.exists(keys.candidates(config.redis.namespace, "m11", "v1"))
        assert client.zscore(f"{config.redis.namespace}:signals:{config.kafka.plays_topic}:0", "m11") == 2
    with NearlineWorker(settings(config, tmp_path)):
        wait_caught_up(config, LIMIT_S)
        gone = {"m1", "behind"}
        assert states_in_redis(config, sorted(gone)) == dict.fromkeys(gone, state.encode(EMPTY))
        assert audit(config).is_sound  # what was erased is not missed

        back = EventLog(config)
        back.add(play("m1", 9002, title="new", at_ms=START_MS + 10**8))
        back.send()
        wait_caught_up(config, LIMIT_S)
    log.records += more.records
    expected = {member: blob for member, blob in log.oracle().items() if member not in gone} | back.oracle()
    assert states_in_redis(config, list(expected)) == expected
    assert expiry_s(config, "m1") == -1  # or the new history would go when the tombstone would have
    assert expiry_s(config, "behind") > 0
    assert audit(config).is_sound


def test_the_command_says_what_it_removed_and_that_there_is_no_lake(
    config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "marquee.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert erase.run("m[1]*", str(path), False) == 0
    out = capfd.readouterr().out
    assert "1 keys and entries removed, 0 left" in out
    assert "Kafka never removes old records" in out
    assert f"Lake: there is none at {config.lake.root}" in out
    assert expiry_s(config, "m[1]*") == -1
