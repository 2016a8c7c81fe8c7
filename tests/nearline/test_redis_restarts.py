"""A Redis that is killed at the wrong moment, with or without the end of its log, under a state writer that goes on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from nearline.dead_letters.letters import DeadLetters
from nearline.following import Batch
from nearline.records import Arrived, Place, Source
from nearline.states.redis_histories import RestartedError
from nearline.states.watermarks import LostWritesError, Watermarks
from nearline.states.writer import StateWriter
from shared import events, state, store
from shared.config import Config, RedisConfig
from shared.errors import UnavailableError
from shared.events import Play
from shared.state import EMPTY
from shared.store import StateStore
from tests.nearline.event_log import START_MS, play

pytestmark = pytest.mark.slow

SPACE = "restarts"
PLAYS = Source("plays", 1, events.decode_play)
PLACE = Place("plays", 0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, because it dies."""
    running = RedisServer(tmp_path / "redis", tmp_path / "redis.log", free_port(), sync="always")
    running.start()
    yield running
    running.stop()


class Meanwhile:
    """Does something once between the writing of the states and the watermark."""

    def __init__(self) -> None:
        self.act: Callable[[], object] | None = None

    def follow(self, batch: Batch) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()


class Life:
    """One life of a worker: a state writer with a client of its own."""

    def __init__(self, server: RedisServer) -> None:
        self.client = store.connect(RedisConfig(url=server.url, timeout_s=5.0))
        self.marks = Watermarks(self.client, SPACE, {"plays": 1})
        self.meanwhile = Meanwhile()
        letters = DeadLetters(Config().kafka)
        self.writer = StateWriter(StateStore(self.client, SPACE), self.marks, letters, 1 << 20, [self.meanwhile])

    def resume(self) -> int:
        return self.marks.resume(PLACE, 1 << 40)

    def write(self, *log: tuple[int, Play]) -> None:
        """One batch, repeated as the worker does when Redis fails."""
        records = [Arrived(0, at, START_MS, event.member_id.encode(), events.encode(event)) for at, event in log]
        for _ in range(5):
            try:
                self.writer.write(PLAYS, records)
            except LostWritesError:
                raise
            except (redis.RedisError, UnavailableError):
                continue
            return
        raise AssertionError("the batch never got through")


def in_redis(server: RedisServer, member: str) -> bytes:
    with store.connect(RedisConfig(url=server.url)) as client:
        return StateStore(client, SPACE).read([member])[0].state


def folded(*log: Play) -> bytes:
    return state.encode(state.fold(EMPTY, log))


PLAYED = [play("a", number, title=f"t{number}", at_ms=START_MS + number) for number in range(6)]


def crash_and_start(server: RedisServer, kept_bytes: int | None = None) -> None:
    server.crash(kept_bytes)
    server.start()


def test_a_restart_that_loses_nothing_is_survived(server: RedisServer) -> None:
    life = Life(server)
    life.resume()
    life.write((0, PLAYED[0]))
    life.meanwhile.act = lambda: crash_and_start(server)
    with pytest.raises(RestartedError, match="was started again"):
        life.writer.write(PLAYS, [Arrived(0, 1, START_MS, b"a", events.encode(PLAYED[1]))])
    life.write((1, PLAYED[1]))
    crash_and_start(server)
    life.write((2, PLAYED[2]))
    assert in_redis(server, "a") == folded(*PLAYED[:3])
    assert life.resume() == 3


def test_states_lost_before_their_watermark_are_written_again(server: RedisServer) -> None:
    """The watermark before them stayed: nothing but the restart itself tells."""
    life = Life(server)
    life.resume()
    life.write((0, PLAYED[0]))
    kept = server.log_file.stat().st_size
    life.meanwhile.act = lambda: crash_and_start(server, kept)
    life.write((1, PLAYED[1]), (2, PLAYED[2]))
    assert life.resume() == 3
    assert in_redis(server, "a") == folded(*PLAYED[:3])


def test_nothing_is_put_on_top_of_a_loss(server: RedisServer) -> None:
    """A state that went back and was folded on would have a fence that hides the records in between."""
    life = Life(server)
    life.resume()
    life.write((0, PLAYED[0]))
    kept = server.log_file.stat().st_size
    life.write((1, PLAYED[1]))
    life.write((2, play("b", 99)))
    crash_and_start(server, kept)
    with pytest.raises(LostWritesError, match="watermark of plays/0 went back from 3 to 1"):
        life.write((3, PLAYED[3]))
    assert in_redis(server, "a") == folded(PLAYED[0])
    again = Life(server)
    assert again.resume() == 1
    again.write((1, PLAYED[1]), (2, play("b", 99)), (3, PLAYED[3]))
    assert in_redis(server, "a") == folded(PLAYED[0], PLAYED[1], PLAYED[3])


def test_a_redis_emptied_under_way_is_refused_the_watermark(server: RedisServer) -> None:
    life = Life(server)
    life.resume()
    life.write((0, PLAYED[0]))
    with store.connect(RedisConfig(url=server.url)) as other:
        life.meanwhile.act = lambda: bool(other.flushall())
        with pytest.raises(LostWritesError, match="went back from 1 to 0"):
            life.write((1, PLAYED[1]))
    assert Life(server).resume() == 0


def test_a_worker_whose_connection_was_cut_goes_on(server: RedisServer) -> None:
    life = Life(server)
    life.resume()
    life.write((0, PLAYED[0]))
    with store.connect(RedisConfig(url=server.url)) as other:
        for client in other.client_list():
            if client["cmd"] != "client":
                other.client_kill(client["addr"])
    life.writer.write(PLAYS, [Arrived(0, 1, START_MS, b"a", events.encode(PLAYED[1]))])  # without a second attempt
    assert in_redis(server, "a") == folded(*PLAYED[:2])


def test_what_is_cut_off_is_the_end_of_the_log(server: RedisServer) -> None:
    life = Life(server)
    life.client.set("first", 1)
    kept = server.log_file.stat().st_size
    life.client.set("second", 2)
    assert server.log_file.stat().st_size > kept
    crash_and_start(server, kept)
    with store.connect(RedisConfig(url=server.url)) as other:
        assert (other.get("first"), other.get("second")) == (b"1", None)
