"""The command as a stranger meets it: help, what it says when something is missing, and how it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local import ports
from infra.local.worker import ROOT
from shared.config import Config

LIMIT_S = 60


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nearline", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def settings(folder: Path, redis_url: str, kafka: str, plays: str = "plays", more: str = "") -> Path:
    path = folder / "own.toml"
    path.write_text(
        f'[redis]\nurl = "{redis_url}"\ntimeout_s = 1.0\n[kafka]\nbootstrap_servers = "{kafka}"\nplays_topic = "{plays}"\n'
        f"timeout_s = 2.0\n{more}",
        encoding="utf-8",
    )
    return path


@pytest.mark.slow
def test_help_names_the_command_and_its_exit_codes(tmp_path: Path) -> None:
    assert "worker" in run("--help", folder=tmp_path).stdout
    told = run("worker", "--help", folder=tmp_path)
    assert told.returncode == 0
    assert "Exit codes" in told.stdout


@pytest.mark.slow
def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    ended = run("worker", "--config", "nowhere.toml", folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: nowhere.toml: no such configuration file\n"


@pytest.mark.slow
def test_redis_out_of_reach_is_one_sentence(tmp_path: Path, config: Config) -> None:
    url = f"redis://127.0.0.1:{ports.free_port()}/0"
    path = settings(tmp_path, url, config.kafka.bootstrap_servers)
    ended = run("worker", "--config", str(path), folder=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: Redis at {url} did not answer within 1 s")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.slow
def test_kafka_out_of_reach_is_one_sentence(tmp_path: Path, config: Config) -> None:
    kafka = f"127.0.0.1:{ports.free_port()}"
    ended = run("worker", "--config", str(settings(tmp_path, config.redis.url, kafka)), folder=tmp_path)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(f"error: Kafka at {kafka} did not answer within 2 s")


@pytest.mark.slow
def test_a_missing_topic_is_named(tmp_path: Path, config: Config) -> None:
    path = settings(tmp_path, config.redis.url, config.kafka.bootstrap_servers, plays="no-such-topic")
    ended = run("worker", "--config", str(path), folder=tmp_path)
    assert ended.returncode == 2
    assert "has no topic 'no-such-topic'" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero(tmp_path: Path, config: Config, number: signal.Signals) -> None:
    port = ports.free_port()
    more = f'feedback_topic = "{config.kafka.feedback_topic}"\n[nearline]\ngroup = "g{port}"\nmetrics_port = {port}\n'
    path = settings(tmp_path, config.redis.url, config.kafka.bootstrap_servers, config.kafka.plays_topic, more)
    folder, temporary = tmp_path / "working folder", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "nearline", "worker", "--config", str(path)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("ready:")
        assert not list(temporary.iterdir())  # what is never made is not left behind either, however the worker ends
        assert b"marquee_nearline_events" in fetch(port)
        child.send_signal(number)
        out, err = child.communicate(timeout=LIMIT_S)
        assert (child.returncode, out) == (0, "")
        assert not [line for line in err.splitlines() if line.startswith("error:")]
        assert not list(folder.iterdir())  # a deployment keeps it read-only
    finally:
        child.kill()
        child.communicate(timeout=10)


def fetch(port: int) -> bytes:
    """The metrics page."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.slow
def test_redis_gone_for_good_ends_it_with_one_sentence(tmp_path: Path, config: Config) -> None:
    """A Redis of the test's own, because it dies."""
    from infra.local.redis_server import RedisServer
    from tests.nearline.event_log import EventLog, play

    server = RedisServer(tmp_path / "redis", tmp_path / "redis.log", ports.free_port())
    server.start()
    try:
        more = f'feedback_topic = "{config.kafka.feedback_topic}"\ndead_letters_topic = "{config.kafka.dead_letters_topic}"\n'
        more += f'[nearline]\ngroup = "g{server.port}"\nstall_timeout_s = 6.0\n'
        path = settings(tmp_path, server.url, config.kafka.bootstrap_servers, config.kafka.plays_topic, more)
        child = subprocess.Popen(
            [sys.executable, "-m", "nearline", "--log-level", "error", "worker", "--config", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            assert child.stdout is not None
            assert child.stdout.readline().startswith("ready:")
            server.kill()
            log = EventLog(config)
            log.add(play("m1", 1))
            log.send()
            began_s = time.monotonic()
            _, err = child.communicate(timeout=LIMIT_S)
            assert child.returncode == 1
            assert time.monotonic() - began_s < LIMIT_S
            assert [line for line in err.splitlines() if line.startswith("error: ")]
        finally:
            child.kill()
            child.communicate(timeout=10)
    finally:
        server.stop()
