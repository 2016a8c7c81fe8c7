"""`python -m infra.local`, run as a person runs it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.process import started_at, wait_until
from infra.local.state import StackState, read

ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path, expect: int = 0) -> str:
    """Run one command; its output, standard error included."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def state(root: Path) -> StackState:
    """What the stack says about itself."""
    found = read(root / "stack")
    assert found is not None
    return found


def pids(found: StackState) -> list[int]:
    """Processes of the two servers."""
    assert found.kafka.process is not None
    assert found.redis.process is not None
    return [found.kafka.process.pid, found.redis.process.pid]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    run("down", "--root", tmp_path)


@pytest.mark.slow
def test_up_twice_status_logs_down_twice(root: Path) -> None:
    assert run("up", "--root", root).startswith("up (")
    first = state(root)
    assert run("up", "--root", root).startswith("already up")
    assert state(root) == first
    said = run("status", "--root", root)
    assert re.search(r"Redis .* up, process \d+\n.*Kafka .* up, process \d+", said)
    assert "Kafka Server started" in run("logs", "--root", root, "kafka")
    assert "no log is called 'spark'" in run("logs", "--root", root, "spark", expect=2)
    other = first.kafka.port + 1
    assert f"not {other}: take it down first" in run("up", "--root", root, "--kafka-port", str(other), expect=2)
    assert run("down", "--root", root).startswith("down (")
    assert run("down", "--root", root) == "not running\n"
    assert run("status", "--root", root, expect=1).startswith("down")
    assert not any(started_at(pid) for pid in pids(first))


@pytest.mark.slow
def test_a_dead_server_is_reported_and_not_restarted_in_silence(root: Path) -> None:
    run("up", "--root", root)
    os.kill(pids(state(root))[1], signal.SIGKILL)
    assert wait_until(lambda: state(root).redis.exit is not None, 10)
    assert "ended with signal SIGKILL" in run("status", "--root", root, expect=1)
    assert "take it down, then up again" in run("up", "--root", root, expect=2)
    assert "ended with signal SIGKILL" in run("logs", "--root", root, "supervisor")


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_child_and_no_obstacle(root: Path) -> None:
    run("up", "--root", root)
    before = state(root)
    os.kill(before.owner.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(started_at(pid) for pid in pids(before)), 10)
    assert "no stack runs" in run("status", "--root", root, expect=1)
    assert run("up", "--root", root).startswith("up (")
    assert state(root).kafka.port == before.kafka.port


@pytest.mark.slow
def test_a_busy_port_gets_one_sentence(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = run("up", "--root", root, "--kafka-port", str(port), expect=2)
    assert said == f"error: port {port}, configured for Kafka, is already in use on 127.0.0.1\n"


@pytest.mark.slow
def test_two_ups_at_once_give_one_stack(root: Path) -> None:
    command = [sys.executable, "-m", "infra.local", "up", "--root", str(root)]
    pair = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=200)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert said[0].splitlines()[1:] == said[1].splitlines()[1:]


def test_help_tells_a_stranger_what_each_command_does() -> None:
    said = run("--help")
    assert all(command in said for command in ("up", "down", "status", "logs"))
