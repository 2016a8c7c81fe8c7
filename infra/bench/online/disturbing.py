"""What goes on in a service while pages are asked for: publishing, rolling back, writing states.

Each runs in a process of its own. They stand for other machines, but here they share the cores that are not the client's with
Redis, and leave it the precedence.
"""

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any, Self

from infra.bench.invented import write_snapshot
from infra.bench.online.marked import MARKS, MarkedWorld
from infra.bench.online.server import client_core, cores
from infra.bench.online.world import World
from shared import fence as fences
from shared import keys, state, store
from shared.config import Config
from shared.errors import UnavailableError
from shared.snapshots import SnapshotStore, new_version
from shared.store import StateStore, StateWrite

START_LIMIT_S, STOP_LIMIT_S = 120.0, 60.0
NICENESS = 10
BATCH = 200
ROLLBACK_EVERY_S = 1.5
OTHERS = 9
"""For each member who asks for pages, so many who do not, and whose candidates are written all the same."""

Turn = Callable[[int], int]
Work = Callable[[Any, Config, World], Turn]


class Disturbance:
    """Runs in a process of its own while it is entered: prepared when `__enter__` returns, then turn after turn.

    Parameters
    ----------
    work : one of this module's functions; what it returns is called again and again with the number of the turn.

    Attributes
    ----------
    per_s : what the turns did together, a second; known after the exit.
    """

    def __init__(self, work: Work, config: Config, world: World) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ready, self._stop = spawn.Event(), spawn.Event()
        self._heard, self._told = spawn.Pipe(duplex=False)
        arguments = (work, config, world, self._ready, self._stop, self._told)
        self._process = spawn.Process(target=_run, args=arguments, name=work.__name__, daemon=True)
        self.per_s = 0.0

    def __enter__(self) -> Self:
        self._process.start()
        if not self._ready.wait(START_LIMIT_S):
            raise UnavailableError(f"{self._process.name} was not prepared within {START_LIMIT_S:.0f} s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._told.close()  # the process's end: once that is gone, nothing more is heard
        try:
            self.per_s = self._heard.recv() if self._heard.poll(STOP_LIMIT_S) else 0.0
        except EOFError:
            raise UnavailableError(f"{self._process.name} failed; its error is above") from error
        finally:
            self._process.join(1.0)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()


def _run(work: Work, config: Config, world: World, ready: Event, stop: Event, told: Any) -> None:
    """The body of the process."""
    os.sched_setaffinity(0, [core for core in cores() if core != client_core()] or cores())
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # should the run itself have been given real time
    os.nice(NICENESS)
    with store.connect(config.redis) as client:
        turn = work(client, config, world)
        ready.set()
        began_s, number, done = time.perf_counter(), 0, 0
        while not stop.is_set():
            done += turn(number)
            number += 1
        told.send(done / (time.perf_counter() - began_s))


def publish(client: Any, config: Config, world: World) -> Turn:
    """Write whole snapshots, each of the other kind than the one before, and flip the arm to each; members written."""
    namespace = config.redis.namespace
    snapshots = SnapshotStore(client, namespace)
    made = [MarkedWorld(world, mark) for mark in MARKS]
    parts = [
        (one.catalogue(), one.arrays(), [(member.member_id, (member.titles, member.scores)) for member in one.people()])
        for one in made
    ]
    before: list[str] = []

    def turn(number: int) -> int:
        which = (number + 1) % len(MARKS)  # the first is served already
        titles, arrays, candidates = parts[which]
        # Between two flips lies what a service with many more members has to write; the others never ask.
        others = ((f"o{nth}-{member}", found) for nth in range(OTHERS) for member, found in candidates)
        version = f"{MARKS[which]}-{new_version('bench')}"
        everybody = itertools.chain(candidates, others)
        write_snapshot(client, namespace, version, titles, arrays, everybody, created_at_ms=world.created_at_ms)
        snapshots.flip(config.online.arm, version)
        for member, _ in candidates if before else ():
            client.unlink(*(keys.candidates(namespace, f"o{nth}-{member}", before[-1]) for nth in range(OTHERS)))
        before.append(version)
        return (OTHERS + 1) * len(candidates)

    return turn


def roll_back(client: Any, config: Config, world: World) -> Turn:
    """Roll the arm back, and with the next turn forth again."""
    snapshots = SnapshotStore(client, config.redis.namespace)

    def turn(number: int) -> int:
        snapshots.rollback(config.online.arm)
        time.sleep(ROLLBACK_EVERY_S)
        return 1

    return turn


def write_states(client: Any, config: Config, world: World) -> Turn:
    """Write states under their fences as fast as one worker can, member after member."""
    states = StateStore(client, config.redis.namespace)
    topic = config.kafka.plays_topic
    blobs = [state.encode(member.state) for member in world.people()]
    at = [fences.decode(found.fence)[topic] for found in states.read(world.member_ids())]

    def turn(number: int) -> int:
        writes: list[StateWrite] = []
        for place in range(min(BATCH, world.members)):
            member = (number * BATCH + place) % world.members
            before, at[member] = at[member], at[member]._replace(offset=at[member].offset + 1)
            fence_before, fence = fences.encode({topic: before}), fences.encode({topic: at[member]})
            writes.append(StateWrite(f"m{member}", fence_before, fence, blobs[member]))
        if any(there is not None for there in states.write(writes)):
            raise RuntimeError("somebody else moved a state")
        return len(writes)

    return turn
