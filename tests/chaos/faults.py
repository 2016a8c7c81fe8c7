"""Every fault of the crash proof: what happens to a world, by name. Each draws its moments from the world's seed.

A scenario returns once everything sent has had its effect, as far as the watermarks tell; whether that is true, the oracle
says. It counts in `world.strikes` how often its fault really happened.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.orders import Act, At, FailPoint, Guard, Of
from tests.chaos.world import SESSION_S, StuckError, WorkerUnderTest, World


@dataclass(frozen=True)
class Fault:
    """One kind of crash, and the guards that its test rests on."""

    name: str
    happen: Callable[[World], None]
    guards: tuple[Guard, ...]
    has_own_kafka: bool = False


def _dies(points: list[tuple[At, Act]], calls: int = 6) -> Callable[[World], None]:
    """A worker that dies at some of these points, several times, and is started anew."""

    def happen(world: World) -> None:
        world.history.send(0.7)
        worker = world.worker()
        for _ in range(world.draw.randint(1, 3)):
            at, act = world.draw.choice(points)
            of: Of = world.draw.choices(("plays", "feedback", "impressions"), (6, 2, 2))[0]
            if at in ("sent", "counted"):  # of plays only
                of = "plays"
            first = of == "impressions" or (of == "feedback" and at == "committed")  # there may be no more than one
            call = 1 if first else world.draw.randint(1, calls)
            worker.start(FailPoint(at, call, act, world.draw.randrange(1, 40), of))
            if not world.wait_killed(worker):
                break
        if worker.exit_code is None:
            worker.end()
        worker.start()
        world.history.send()
        world.catch_up()

    return happen


def _rebalance(world: World) -> None:
    """Two workers share the partitions while events flow; one dies when they change hands."""
    first, second = world.worker("first"), world.worker("second")
    dying = world.draw.choice((first, second))
    at: At = world.draw.choice(("revoked", "assigned", "resuming", "write", "written", "marked"))
    call = world.draw.randint(2, 3) if dying is first and at in ("revoked", "assigned") else world.draw.randint(1, 8)
    point = FailPoint(at, 1 if at in ("revoked", "assigned") and dying is second else call, "kill")
    world.history.send(0.2)
    with world.sending(4.0, steps=40):
        first.start(*([point] if dying is first else []))
        world.wait(lambda: first.has_said("ready:") or first.exit_code is not None, "the first worker is not ready")
        time.sleep(world.draw.uniform(0.0, 0.5))
        second.start(*([point] if dying is second else []))
        deadline_s = time.monotonic() + 3.0
        while dying.exit_code is None and time.monotonic() < deadline_s:
            time.sleep(0.02)
        if dying.exit_code is None:  # the point was not reached; die at this very moment
            dying.end()
        world.strikes += 1
    world.catch_up()


def _redis_dies(world: World) -> None:
    """kill -9 of Redis, which comes back without some of what it wrote in its last second."""
    worker = world.worker()
    worker.start()
    worker.wait_ready()
    sizes: list[tuple[float, int]] = []
    moment_s = world.draw.uniform(0.3, 1.5)
    with world.sending(2.0):
        began_s = time.monotonic()
        while (now_s := time.monotonic()) - began_s < moment_s:
            sizes.append((now_s, world.redis.written_bytes))
            time.sleep(0.01)
        world.redis.kill()
        kept = next(size for at_s, size in sizes if at_s >= now_s - 1.0)
        world.strikes += int(world.redis.written_bytes > kept)
        world.redis.lose_tail(world.draw, kept)
        time.sleep(world.draw.uniform(0.0, 1.0))
        world.redis.start()
    world.catch_up()


def _redis_dies_idle(world: World) -> None:
    """kill -9 of Redis after the last record, which comes back without its tail: no record comes to show it."""
    worker = world.worker()
    worker.start()
    world.history.send(0.5)
    world.catch_up()
    kept = world.redis.written_bytes
    world.history.send()
    world.catch_up()
    world.redis.kill()
    world.redis.lose_tail(world.draw, kept)
    world.strikes += 1
    world.redis.start()
    world.catch_up()


def _redis_and_worker_die(world: World) -> None:
    """kill -9 of both. Kafka's commit is ahead of what Redis kept, and records go on to arrive while a worker starts anew.

    It takes long to look up where to start: nothing may be read from the commit until then.
    """
    world.history.send(0.3)
    worker = world.worker()
    worker.start()
    world.catch_up()
    kept = world.redis.written_bytes
    world.history.send(0.6)
    world.catch_up()
    time.sleep(world.draw.uniform(0.0, 0.5))  # the commit comes after the watermark
    worker.end()
    world.redis.kill()
    world.redis.lose_tail(world.draw, kept)
    world.redis.start()
    world.strikes += 1
    of: Of = world.draw.choice(("plays", "plays", "feedback", "impressions"))
    worker.start(FailPoint("resuming", world.draw.randint(1, 4), "linger", 1000, of=of))
    world.wait(world.flag_path.exists, "the worker did not look up where to start", tick=world.tend)
    time.sleep(world.draw.uniform(0.0, 0.8))
    world.history.send()
    world.catch_up()


def _kafka_dies(world: World) -> None:
    """kill -9 of Kafka in mid stream, and its restart on the same log."""
    worker = world.worker()
    worker.start()
    worker.wait_ready()
    with world.sending(2.0):
        time.sleep(world.draw.uniform(0.2, 1.5))
        world.kafka.kill()
        world.strikes += 1
        time.sleep(world.draw.uniform(0.0, 1.0))
        world.kafka.start()
    world.catch_up()


def _zombie(world: World) -> None:
    """A worker is stopped with a batch in hand until its session is over, and goes on when another has its partitions."""
    world.history.send(0.6)
    zombie, successor = world.worker("zombie"), world.worker("successor")
    at: At = world.draw.choice(("write", "write", "batch", "written", "marked"))
    zombie.start(FailPoint(at, world.draw.randint(2, 6), "stop"))
    world.wait(lambda: zombie.is_stopped, "the worker did not stop itself")
    stopped_s = time.monotonic()
    successor.start()
    world.history.send(0.8)
    world.wait(lambda: world.behind() == 0, "the successor did not take over", tick=lambda: _start_ended(successor))
    time.sleep(max(0.0, stopped_s + SESSION_S + 0.2 - time.monotonic()))
    zombie.send_signal(signal.SIGCONT)
    world.strikes += 1
    time.sleep(world.draw.uniform(0.0, 0.5))
    world.history.send()
    world.catch_up()
    world.settle()


def _start_ended(worker: WorkerUnderTest) -> None:
    if worker.exit_code is not None:
        worker.start()


def _dropped(world: World) -> None:
    """Faust drops feedback that it has fetched, and goes on behind it; in the end no event follows to show it."""
    world.history.send(0.5)
    worker = world.worker()
    worker.drop_seed = world.seed
    worker.start()
    world.strikes += 1
    world.history.send()
    world.catch_up()


def _again(world: World) -> None:
    """Records are delivered again: by a consumer that goes back, or by a whole second group beside the first."""
    world.history.send(0.5)
    if world.draw.random() < 0.5:
        world.worker(overlap_seed=world.seed).start()
    else:
        world.worker().start()
        world.worker_of_another_group("beside").start()
    world.strikes += 1
    world.history.send()
    world.catch_up()
    world.settle()


def _refused(world: World) -> None:
    """One reply in a pipeline is an error: of a whole call, or of one member inside a call."""
    world.history.send(0.6)
    calls = world.draw.sample(range(1, 12), k=3)
    acts: list[Act] = ["fail reply", "fail member"]
    worker = world.worker()
    worker.start(*(FailPoint("write", call, world.draw.choice(acts), world.draw.randint(1, 4)) for call in calls))
    world.strikes += len(calls)
    world.history.send()
    world.catch_up()


def _stall(world: World) -> None:
    """Redis stands still for longer than the socket's time limit, with a batch on its way, and then does what it was sent."""
    world.history.send(0.6)
    worker = world.worker()
    worker.start(FailPoint("write", world.draw.randint(1, 12), "stall redis"))
    world.wait(lambda: _is_stopped(world.redis.pid) or world.behind() == 0, "Redis was not stopped")
    world.strikes += int(_is_stopped(world.redis.pid))
    time.sleep(world.config.redis.timeout_s * world.draw.uniform(1.2, 2.5))
    world.redis.signal(signal.SIGCONT)
    world.history.send()
    world.catch_up()


def _late(world: World) -> None:
    """The network holds back a batch for longer than the socket's time limit, and delivers it after newer ones."""
    world.history.send(0.6)
    link = world.slow_link(world.config.redis.timeout_s * world.draw.uniform(1.2, 2.0))
    worker = world.worker()
    worker.start(FailPoint("write", world.draw.randint(2, 12), "hold link"))
    world.wait(lambda: link.held > 0, "nothing was held back", tick=world.tend)
    with world.sending(1.0):
        world.wait(lambda: link.delivered > 0, "what was held back was not delivered")
    world.strikes += link.delivered
    world.catch_up()


def _is_stopped(pid: int) -> bool:
    import psutil

    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def _scripts_flushed(world: World) -> None:
    """Redis forgets its scripts, again and again."""
    world.history.send(0.6)
    at: list[At] = ["batch", "write", "written"]
    calls = [FailPoint(world.draw.choice(at), world.draw.randint(1, 15), "flush scripts") for _ in range(4)]
    world.worker().start(*calls)
    world.strikes += len(calls)
    world.history.send()
    world.catch_up()


def _versions(world: World) -> None:
    """A worker that writes version 1 works, is joined by a newer one, and in the end inherits what that one wrote."""
    world.history.send(0.3)
    older, newer = world.worker("older", is_older=True), world.worker("newer")
    older.start()
    older.wait_ready()
    world.wait(lambda: world.behind() == 0, "the older worker did not write")
    newer.start()
    newer.wait_ready()
    world.history.send(0.6)
    refusal = "a member state has version 2; this code reads version 1"
    world.wait(lambda: world.behind() == 0 or older.has_said(refusal), "the two did not work side by side")
    newer.end()
    world.history.send(0.8)
    if world.without is None:
        world.wait(lambda: older.exit_code is not None, "the older worker went on with newer states")
        if older.exit_code == 0 or not older.has_said(refusal):
            raise StuckError("the older worker did not say why it ended")
    else:
        world.wait(lambda: world.behind() == 0 or older.exit_code is not None, "the older worker did not go on")
    older.end()
    world.workers.remove(older)
    world.strikes += 1
    newer.start()
    world.history.send()
    world.catch_up()


FAULTS: tuple[Fault, ...] = (
    Fault("worker killed before the flush", _dies([("batch", "kill"), ("write", "kill")]), ("order",)),
    Fault("worker killed in the pipeline", _dies([("write", "kill half way"), ("sent", "kill")]), ("order", "seen")),
    Fault("worker killed after the flush", _dies([("written", "kill"), ("counted", "kill"), ("marked", "kill")]), ("seen",)),
    Fault("worker killed after the commit", _dies([("committed", "kill")]), ("order",)),
    Fault("worker killed in a rebalance", _rebalance, ("seen",)),
    Fault("Redis killed, its tail lost", _redis_dies, ("watermark", "lost writes")),
    Fault("Redis killed, nothing comes", _redis_dies_idle, ("look",)),
    Fault("Redis and the worker killed", _redis_and_worker_die, ("watermark", "placing")),
    Fault("Kafka killed", _kafka_dies, ("seen",), has_own_kafka=True),
    Fault("zombie worker", _zombie, ("fence",)),
    Fault("feedback dropped by Faust", _dropped, ("gap",)),
    Fault("records delivered again", _again, ("seen", "fence", "once")),
    Fault("a reply is an error", _refused, ("reply",)),
    Fault("Redis stalls", _stall, ("seen",)),
    Fault("a batch arrives late", _late, ("fence",)),
    Fault("scripts flushed", _scripts_flushed, ("reload",)),
    Fault("two code versions", _versions, ("version",)),
)
