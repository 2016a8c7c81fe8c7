"""The same worker and library on a real Redis Cluster of three masters: slots that move, and masters that die."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from infra.local.redis_cluster import ClusterNode, LocalRedisCluster
from infra.local.worker import NearlineWorker, wait_caught_up
from nearline.records import Place
from nearline.states import watermarks
from nearline.states.redis_histories import RestartedError
from nearline.states.watermarks import COPIES, LostWritesError, Watermarks
from online import Recommender
from shared import keys, store
from shared.config import Config, RedisConfig
from shared.errors import UnavailableError
from shared.slots import spread_tags
from shared.store import StateStore, StateWrite
from tests.nearline.event_log import EventLog, states_in_redis
from tests.nearline.flowing import Flow
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot
from tests.parity.test_stream_equals_fold import settings

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
PLACE = Place("plays", 0)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedisCluster]:
    with LocalRedisCluster(tmp_path_factory.mktemp("cluster"), sync="always") as running:
        yield running


@pytest.fixture
def clustered(config: Config, cluster: LocalRedisCluster) -> Iterator[Config]:
    """The test's own configuration, with its states in the cluster. All nodes run again afterwards."""
    url = cluster.url
    yield msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, url=url))
    for node in cluster.nodes:
        node.launch()
        node.wait()
    cluster.wait_agreed()


@pytest.fixture
def client(clustered: Config) -> Iterator[redis.Redis]:
    with store.connect(clustered.redis) as client:
        yield client


def slot_of(config: Config, member: str) -> int:
    return int(key_slot(keys.state(config.redis.namespace, member).encode()))


def other_than(cluster: LocalRedisCluster, *nodes: ClusterNode) -> ClusterNode:
    return next(node for node in cluster.nodes if node not in nodes)


def assert_states_equal_the_fold(log: EventLog) -> None:
    expected = log.oracle()
    assert states_in_redis(log.config, list(expected)) == expected


def wait_ended(worker: NearlineWorker) -> int | None:
    deadline = time.monotonic() + LIMIT_S
    while worker.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    return worker.exit_code


def test_the_worker_goes_on_while_slots_move_and_a_master_dies(
    clustered: Config, cluster: LocalRedisCluster, tmp_path: Path
) -> None:
    log = EventLog(clustered)
    log.invent(6000, members=300, seed=11)
    with NearlineWorker(settings(clustered, tmp_path)) as worker:
        EventLog(clustered, log.records[:1500]).send()
        wait_caught_up(clustered, LIMIT_S)
        with Flow(log, 1500, 4000, seconds=10.0):
            for member in ("m1", "m2", "m3", "m4"):
                slot = slot_of(clustered, member)
                target = other_than(cluster, cluster.owner(slot))
                assert cluster.move_slot(slot, target, keys_per_step=1, pause_s=0.2) >= 1
                assert cluster.owner(slot) is target
        wait_caught_up(clustered, LIMIT_S)
        with Flow(log, 4000, len(log.records), seconds=10.0):
            time.sleep(0.5)
            cluster.nodes[1].kill()
            time.sleep(1.0)
            cluster.nodes[1].start()
        wait_caught_up(clustered, LIMIT_S)
        assert "flush failed, trying again" in worker.output()
    assert worker.exit_code == 0
    assert_states_equal_the_fold(log)


def test_a_master_that_lost_something_ends_the_worker_and_its_restart_makes_it_good(
    clustered: Config, cluster: LocalRedisCluster, tmp_path: Path
) -> None:
    log = EventLog(clustered)
    log.invent(3400, members=150, seed=12)
    path = settings(clustered, tmp_path)
    node = cluster.nodes[2]
    with NearlineWorker(path) as worker:
        EventLog(clustered, log.records[:1000]).send()
        wait_caught_up(clustered, LIMIT_S)
        kept = node.log_file.stat().st_size
        EventLog(clustered, log.records[1000:2000]).send()
        wait_caught_up(clustered, LIMIT_S)
        node.crash(kept)
        with Flow(log, 2000, 3000, seconds=1.0):
            node.start()
        assert wait_ended(worker) == 1
        assert "error: the worker ended: Redis lost its newest writes: the watermark of " in worker.output()

    with NearlineWorker(path) as worker:
        wait_caught_up(clustered, LIMIT_S)
        assert_states_equal_the_fold(EventLog(clustered, log.records[:3000]))
        # A slot is lost where it had just arrived. Its former master has dropped the keys, and the watermarks of the new one
        # were there before: only what they say of the slots tells.
        slot = slot_of(clustered, "m7")
        target = other_than(cluster, cluster.owner(slot))
        kept = target.log_file.stat().st_size
        assert cluster.move_slot(slot, target) >= 1
        target.crash(kept)
        target.start()
        assert cluster.owner(slot) is target
        EventLog(clustered, log.records[3000:]).send()
        assert wait_ended(worker) == 1
        assert "no watermark vouches for all slots" in worker.output()
        assert "error: the worker ended: Redis lost its newest writes" in worker.output()

    with NearlineWorker(path):
        wait_caught_up(clustered, LIMIT_S)
        assert_states_equal_the_fold(log)


def test_a_slot_half_way_is_read_and_written(clustered: Config, cluster: LocalRedisCluster, client: redis.Redis) -> None:
    states = StateStore(client, clustered.redis.namespace)
    gone, staying = members_of_one_slot(clustered)
    assert states.write([StateWrite(member, b"", b"plays=1:0:1", b"one") for member in (gone, staying)]) == [None, None]
    slot = slot_of(clustered, gone)
    source = cluster.owner(slot)
    target = other_than(cluster, source)
    target.tell("CLUSTER SETSLOT", slot, "IMPORTING", source.cluster_id())
    source.tell("CLUSTER SETSLOT", slot, "MIGRATING", target.cluster_id())
    source.tell("MIGRATE", "127.0.0.1", target.port, keys.state(clustered.redis.namespace, gone), 0, 1000)
    writes = [StateWrite(member, b"plays=1:0:1", b"plays=1:0:2", b"two") for member in (gone, staying)]
    assert states.write(writes) == [None, None]
    assert [entry.state for entry in states.read([gone, staying])] == [b"two", b"two"]
    cluster.move_slot(slot, target)
    assert [entry.state for entry in states.read([gone, staying])] == [b"two", b"two"]


def members_of_one_slot(config: Config) -> tuple[str, str]:
    found: dict[int, str] = {}
    for number in range(100_000):
        slot = slot_of(config, f"m{number}")
        if slot in found:
            return found[slot], f"m{number}"
        found[slot] = f"m{number}"
    raise AssertionError("there are fewer slots")


def test_the_lowest_copy_of_a_watermark_counts_wherever_its_slot_went(
    clustered: Config, cluster: LocalRedisCluster, client: redis.Redis
) -> None:
    space = clustered.redis.namespace
    epochs = {"plays": 1}
    marks = Watermarks(client, space, epochs)
    assert marks.resume(PLACE, 100) == 0
    marks.advance({PLACE: 50})
    assert Watermarks(client, space, epochs).resume(PLACE, 100) == 50
    tags = spread_tags(COPIES)
    tag, slot = next((tag, slot) for tag, slot in tags.items() if cluster.owner(slot) is cluster.nodes[0])
    with store.connect(clustered.redis) as other:
        other.hset(keys.watermark(space, "plays", tag), "1:0", 40)  # as a master that lost its newest writes has it
        cluster.move_slot(slot, cluster.nodes[1])
        assert watermarks.read(other, space, epochs, [PLACE]) == {PLACE: 40}
        with pytest.raises(LostWritesError, match="watermark of plays/0 went back from 50 to 40"):
            marks.advance({PLACE: 60})
        assert Watermarks(other, space, epochs).resume(PLACE, 100) == 40


def test_a_restart_without_loss_is_vouched_for_by_the_slots(
    clustered: Config, cluster: LocalRedisCluster, client: redis.Redis
) -> None:
    space, epochs = clustered.redis.namespace, {"plays": 1}
    marks = Watermarks(client, space, epochs)
    marks.resume(PLACE, None)
    marks.advance({PLACE: 50})
    cluster.nodes[0].kill()
    with pytest.raises((redis.RedisError, UnavailableError)):
        marks.advance({PLACE: 60})
    cluster.nodes[0].start()
    cluster.wait_agreed()
    with store.connect(clustered.redis) as other:
        assert Watermarks(other, space, epochs).resume(PLACE, 100) == 50


def test_a_page_comes_from_the_cluster_whatever_dies(cluster: LocalRedisCluster, clustered: Config, client: redis.Redis) -> None:
    space = clustered.redis.namespace
    write_snapshot(client, space, "v1", build_snapshot())
    for member in ("m0", "m1", "m2", "m3", "m4", "m5"):
        write_events(client, space, member, play("t3", 0.4, member_id=member))
    pointer = cluster.owner(int(key_slot(keys.pointer(space, "default").encode())))
    member, home = next(
        (f"m{number}", cluster.owner(slot_of(clustered, f"m{number}")))
        for number in range(6)
        if cluster.owner(slot_of(clustered, f"m{number}")) is not pointer
    )
    with Recommender(online_config(clustered.redis.url, space, deadline_ms=1000.0)) as recommender:
        page = recommender.page(member, country="US", now_ms=NOW_MS)
        assert (page.tier, page.snapshot, page.fallbacks) == ("live", "v1", ())
        cluster.move_slot(slot_of(clustered, member), pointer)
        page = recommender.page(member, country="US", now_ms=NOW_MS)
        assert (page.tier, page.fallbacks) == ("live", ())
        cluster.move_slot(slot_of(clustered, member), home)
        home.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        page = recommender.page(member, country="US", now_ms=NOW_MS)
        assert time.monotonic() - began_s < 1.5
        assert {fallback.code for fallback in page.fallbacks} == {"redis-slow"}
        assert page.rows
        home.kill()
        page = recommender.page(member, country="US", now_ms=NOW_MS)
        assert page.rows
        assert page.tier != "live"
        assert {fallback.code for fallback in page.fallbacks} == {"redis-unreachable"}
        home.start()
        cluster.wait_agreed()
        deadline = time.monotonic() + LIMIT_S
        while recommender.page(member, country="US", now_ms=NOW_MS).fallbacks:
            assert time.monotonic() < deadline, "it did not heal"
            time.sleep(0.1)


def test_a_cluster_out_of_reach_is_told_in_one_sentence(clustered: Config, cluster: LocalRedisCluster) -> None:
    away = RedisConfig(url="redis+cluster://127.0.0.1:1", timeout_s=0.5)
    with (
        pytest.raises(UnavailableError, match=r"^Redis at redis\+cluster://127.0.0.1:1 did not answer within 0.5 s"),
        store.reachable(away),
        store.connect(away) as client,
    ):
        client.ping()
    single = RedisConfig(url=f"redis+cluster://127.0.0.1:{cluster.nodes[0].port}", timeout_s=2.0)
    with store.reachable(single), store.connect(single) as client:
        assert client.ping()  # one node is enough to find the others
        assert len(client.get_primaries()) == 3  # type: ignore[attr-defined]


def test_a_new_master_is_trusted_until_it_is_started_again_without_a_watermark(
    clustered: Config, cluster: LocalRedisCluster, client: redis.Redis
) -> None:
    """The last test here: the node stays, as a replica that takes over."""
    client.set_retry(Retry(NoBackoff(), 0))
    marks = Watermarks(client, clustered.redis.namespace, {"plays": 1})
    marks.resume(PLACE, None)
    states = StateStore(client, clustered.redis.namespace)
    member = next(f"m{number}" for number in range(100) if slot_of(clustered, f"m{number}") not in watermark_slots())
    assert states.write([StateWrite(member, b"", b"plays=1:0:1", b"state")]) == [None]
    marks.advance({PLACE: 2})
    slot = slot_of(clustered, member)
    home, node = cluster.owner(slot), cluster.add_node()
    time.sleep(2.0)  # Redis tells in whole seconds how long it has run
    with store.connect(clustered.redis) as other:  # settled when the node was there, and had no slots
        late = Watermarks(other, clustered.redis.namespace, {"plays": 1})
        assert late.resume(PLACE, 100) == 2
        cluster.move_slot(slot, node)
        with pytest.raises(RestartedError, match="is a new master"):
            StateStore(other, clustered.redis.namespace).read([member])
        late.check({PLACE: 3})
        assert StateStore(other, clustered.redis.namespace).read([member])[0].state == b"state"
        late.advance({PLACE: 3})
    node.kill()
    node.start()
    cluster.wait_agreed()
    with pytest.raises(UnavailableError, match="serves 1 slots of the cluster, and none of those that carry a watermark"):
        Watermarks(client, clustered.redis.namespace, {"plays": 1}).resume(PLACE, 100)
    cluster.move_slot(slot, home)
    wait_for(lambda: replication(node).get("master_link_status") == "up")  # without slots it has become a replica

    with store.connect(clustered.redis) as other:
        last = Watermarks(other, clustered.redis.namespace, {"plays": 1})
        last.advance({PLACE: last.resume(PLACE, None) + 7})
        home.kill()
        wait_for(lambda: replication(node)["role"] == "master")
        with store.connect(clustered.redis) as third:
            fresh = Watermarks(third, clustered.redis.namespace, {"plays": 1})
            assert patiently(lambda: fresh.resume(PLACE, 100)) == patiently(lambda: last.resume(PLACE, 100)) > 0


def replication(node: ClusterNode) -> dict[str, str]:
    with node.client() as client:
        return dict(client.info("replication"))


def patiently(ask: Callable[[], int]) -> int:
    """The answer, asked again while the masters do not yet agree who has taken over, as a worker does."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            return ask()
        except redis.exceptions.RedisError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def watermark_slots() -> set[int]:
    return set(spread_tags(COPIES).values())
