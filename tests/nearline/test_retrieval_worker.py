"""Re-retrieval in a real worker: from Kafka to the page, and after a kill -9."""

import time
from pathlib import Path

import msgspec
import pytest
import redis

from infra.local.process import wait_until
from infra.local.worker import NearlineWorker
from nearline.records import Place
from nearline.retrieval.signal_sets import SignalSets
from online import Recommender
from shared import fresh, keys, store
from shared.config import Config
from shared.events import Feedback, Play
from shared.store import StateStore
from tests.nearline.event_log import EventLog
from tests.nearline.test_retrieval import finished, snapshot_with_factors
from tests.online.plays import thumb
from tests.online.snapshot_builder import write_snapshot
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
MEMBER = "m0"


def send(config: Config, event: Play | Feedback) -> None:
    log = EventLog(config)
    log.add(event)
    log.send()


def fresh_titles(client: redis.Redis, config: Config) -> list[str] | None:
    """The member's fresh candidates, if they are of the state as it is."""
    namespace = config.redis.namespace
    found = fresh.FreshStore(client, namespace, 60).read("v1", MEMBER)
    _, fence = StateStore(client, namespace).read([MEMBER])[0].decode()
    return [f"t{title}" for title in found.titles] if found is not None and found.fence == fence else None


def test_a_play_and_a_thumb_change_the_candidates_and_a_kill_forgets_nobody(config: Config, tmp_path: Path) -> None:
    own = msgspec.structs.replace(config, online=msgspec.structs.replace(config.online, log_impressions=False))
    path = settings(config, tmp_path)
    now_ms = int(time.time() * 1000)
    with store.connect(config.redis) as client:
        write_snapshot(client, config.redis.namespace, "v1", snapshot_with_factors())
        with Recommender(own) as recommender, NearlineWorker(path, instance="only") as worker:
            send(config, finished("t8", at_ms=now_ms - 1000))
            assert wait_until(lambda: bool(fresh_titles(client, config)), LIMIT_S), worker.output()
            retrieved = fresh_titles(client, config) or []
            assert "t8" not in retrieved
            assert "fresh" in {item.tier for item in recommender.recommend(MEMBER)}

            send(config, thumb(retrieved[0], False, at_ms=now_ms))
            assert wait_until(lambda: retrieved[0] not in (fresh_titles(client, config) or retrieved), LIMIT_S)
            worker.kill()

        # As when it died between the state and the candidates: the member waits, and has none.
        _, fence = StateStore(client, config.redis.namespace).read([MEMBER])[0].decode()
        place = Place(config.kafka.plays_topic, fence[config.kafka.plays_topic].partition)
        sets = SignalSets(client, config.redis.namespace, 60)
        sets.add({place: {MEMBER: fence[place.topic].offset}})
        client.delete(keys.fresh(config.redis.namespace, MEMBER, "v1"))
        with NearlineWorker(path, instance="only"):
            assert wait_until(lambda: bool(fresh_titles(client, config)), LIMIT_S)
            assert wait_until(lambda: sets.oldest(place, 1) == [], LIMIT_S)
