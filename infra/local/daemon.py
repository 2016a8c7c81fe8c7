"""Starts, stops and questions the daemon that runs a local stack; called by `python -m infra.local`."""

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from infra.local import state
from infra.local.process import end_process, tail, wait_until
from infra.local.redis_server import check_redis
from infra.local.stack import check_room
from infra.local.state import StackState
from infra.local.topics import check_kafka
from shared import config as configuration
from shared.config import Config
from shared.errors import ConflictError, MarqueeError, UnavailableError

UP_LIMIT_S = 150.0
DOWN_LIMIT_S = 60.0
CHECK_LIMIT_S = 5.0


@dataclass(frozen=True)
class Health:
    """One server, asked just now."""

    name: str
    address: str
    pid: int
    problem: str | None  # None: it serves


def up(root: Path, kafka_port: int | None, redis_port: int | None, partitions: int) -> bool:
    """Have the stack in `root` running.

    Returns
    -------
    False when it was running already.

    Raises
    ------
    UnavailableError : a server does not come up, or a configured port is in use.
    ConflictError : it runs already on other ports than these, or belongs to another process than a daemon.
    """
    folder = root / "stack"
    if state.is_locked(folder):
        present = _settled(folder)
        if present is not None and present.phase == "up":
            if not present.is_daemon:
                raise ConflictError(f"the stack in {root} belongs to process {present.owner.pid}, which runs it for itself")
            for name, port, asked in (
                ("Kafka", present.kafka.port, kafka_port),
                ("Redis", present.redis.port, redis_port),
            ):
                if asked is not None and asked != port:
                    raise ConflictError(f"the stack in {root} is up with {name} on port {port}, not {asked}: take it down first")
            if present.reports:
                raise UnavailableError(
                    f"the stack in {root} has lost a server: {'; '.join(present.reports)}; take it down, then up again"
                )
            return False
    _launch(root, kafka_port, redis_port, partitions)
    return True


def down(root: Path) -> bool:
    """Stop the stack in `root` in good order, by force after `DOWN_LIMIT_S`.

    Returns
    -------
    False when it was not running.

    Raises
    ------
    ConflictError : it belongs to a process that runs it for itself.
    """
    folder = root / "stack"
    present = state.read(folder)
    if not state.is_locked(folder):
        if present is not None:
            _end_leftovers(present)
        return False
    if present is None:
        raise ConflictError(f"the stack in {root} is run by a process that has not yet said which it is: try again")
    if not present.is_daemon:
        raise ConflictError(f"the stack in {root} belongs to process {present.owner.pid}, which runs it for itself")
    end_process(present.owner.pid, present.owner.start_time, stop_limit_s=DOWN_LIMIT_S)
    wait_until(lambda: not state.is_locked(folder), 10.0)
    _end_leftovers(present)
    return True


def settings(root: Path) -> Config:
    """The configuration that the stack wrote when it came up."""
    return configuration.load(root / "marquee.toml")


def health(root: Path) -> list[Health]:
    """Ask both servers of the stack in `root`. Empty when nothing runs there."""
    folder = root / "stack"
    present = state.read(folder)
    if present is None or not state.is_locked(folder) or present.phase != "up":
        return []
    config = settings(root)
    found: list[Health] = []
    for name, address, server in (
        ("Redis", config.redis.url, present.redis),
        ("Kafka", config.kafka.bootstrap_servers, present.kafka),
    ):
        problem = server.exit
        if problem is None:
            try:
                if name == "Redis":
                    check_redis(config.redis)
                else:
                    check_kafka(config.kafka)
            except UnavailableError as error:
                problem = str(error)
        found.append(Health(name, address, server.process.pid if server.process else 0, problem))
    return found


def log_files(root: Path) -> dict[str, Path]:
    """The logs of a stack by the name of who writes them."""
    folder = root / "stack" / "logs"
    return {name: folder / f"{name}.log" for name in ("kafka", "redis", "supervisor")}


def _launch(root: Path, kafka_port: int | None, redis_port: int | None, partitions: int) -> None:
    check_room(root)  # a supervisor on a full disk has no place to say so
    log_path = log_files(root)["supervisor"]
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
        log = log_path.open("ab")
    except OSError as error:
        raise UnavailableError(f"{log_path}: cannot be written ({error})") from None
    command = [sys.executable, "-m", "infra.local.supervisor", "--root", str(root), "--partitions", str(partitions)]
    for option, port in (("--kafka-port", kafka_port), ("--redis-port", redis_port)):
        command += [option, str(port)] if port is not None else []
    with log:
        supervisor = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_up(root, supervisor)
    except BaseException:  # also Ctrl-C: what this call began, it ends
        supervisor.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(DOWN_LIMIT_S)
        supervisor.kill()
        supervisor.wait()
        raise
    supervisor.returncode = 0  # it stays; without this Python warns that nobody waits for it


def _wait_up(root: Path, supervisor: "subprocess.Popen[bytes]") -> None:
    folder = root / "stack"
    deadline = time.monotonic() + UP_LIMIT_S
    while time.monotonic() < deadline:
        ended = supervisor.poll() is not None
        present = state.read(folder)
        if present is not None and present.phase == "up" and state.is_locked(folder) and present.owner.is_alive:
            return  # run by this supervisor, or by one that another `up` started at the same moment
        if ended and present is not None and present.owner.pid == supervisor.pid and present.phase == "failed":
            raise UnavailableError(present.message)
        if ended and not state.is_locked(folder):
            said = " ".join(tail(log_files(root)["supervisor"], 1)) or "no word of why"
            raise UnavailableError(f"the stack in {root} did not come up: {said}")
        time.sleep(0.05)
    raise UnavailableError(f"the stack in {root} did not come up within {UP_LIMIT_S:.0f} s; see {folder / 'logs'}")


def _settled(folder: Path) -> StackState | None:
    """The state of a stack that somebody runs, once it is no longer just starting."""

    def settled() -> bool:
        present = state.read(folder)
        return not state.is_locked(folder) or (present is not None and present.owner.is_alive and present.phase == "up")

    if not wait_until(settled, UP_LIMIT_S):
        raise UnavailableError(f"{folder}: another process has been starting the stack for {UP_LIMIT_S:.0f} s")
    return state.read(folder) if state.is_locked(folder) else None


def _end_leftovers(present: StackState) -> None:
    for server in (present.kafka, present.redis):
        if server.process is not None:
            with contextlib.suppress(MarqueeError):
                end_process(server.process.pid, server.process.start_time, stop_limit_s=10.0)
