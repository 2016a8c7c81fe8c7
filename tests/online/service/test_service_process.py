"""`python -m online serve` as a process: it listens, answers, and ends in order when it is told to."""

import contextlib
import http.client
import json
import signal
import socket
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from kafka import KafkaConsumer

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from infra.local.settings import to_toml
from shared import events
from shared.config import Config
from shared.store import connect
from tests.online.service.running import ask, serving, wait_ready
from tests.online.snapshot_builder import build_snapshot, write_snapshot

pytestmark = pytest.mark.slow


def said(address: str, request: bytes) -> bytes:
    """What the server says to some bytes, until it closes the connection or has said an error."""
    where = urlsplit(address)
    with socket.create_connection((str(where.hostname), where.port or 80), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        heard = b""
        with contextlib.suppress(ConnectionError):
            while b"}}" not in heard and (part := connection.recv(65536)):
                heard += part
        return heard


def seconds_of_replies(address: str) -> list[float]:
    """The time that each of some requests takes on one connection."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    seconds = []
    for _ in range(20):
        began_s = time.perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - began_s)
    connection.close()
    return seconds


def test_sigterm_sends_what_is_buffered_and_ends_with_0(config: Config, tmp_path: Path) -> None:
    client = connect(config.redis)
    write_snapshot(client, config.redis.namespace, "v1", build_snapshot())
    client.close()
    file = tmp_path / "marquee.toml"
    file.write_text(to_toml(config))
    with serving(file) as (process, address):
        wait_ready(address)
        pages = [json.loads(ask(f"{address}page/m{number}")[1])["page_id"] for number in range(5)]
        ask(f"{address}member?id=m1")  # looked at, not shown
        body = json.dumps({"member_id": "m1", "title_id": "t4", "kind": "thumbs_up"}).encode()
        request = urllib.request.Request(f"{address}feedback", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            event_id = json.load(reply)["event_id"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    consumer = KafkaConsumer(
        config.kafka.impressions_topic,
        config.kafka.feedback_topic,
        bootstrap_servers=config.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    try:
        records = [next(consumer) for _ in range(6)]
    finally:
        consumer.close()
    shown = [events.decode_impression(r.value, r.key) for r in records if r.topic == config.kafka.impressions_topic]
    assert sorted(impression.page_id for impression in shown) == sorted(pages)
    (given,) = [events.decode_feedback(r.value, r.key) for r in records if r.topic == config.kafka.feedback_topic]
    assert (given.event_id, given.title_id, given.kind) == (event_id, "t4", "thumbs_up")


def test_several_processes_count_together(redis_server: RedisServer, client: redis.Redis, namespace: str, tmp_path: Path) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    file = tmp_path / "marquee.toml"
    file.write_text(f'[redis]\nurl = "{redis_server.url}"\nnamespace = "{namespace}"\n[online]\nlog_impressions = false\n')
    with serving(file, "--workers", "2") as (process, address):
        wait_ready(address)
        for _ in range(10):
            assert ask(f"{address}similar/t3?k=2")[0] == 200
        deadline_s = time.monotonic() + 30  # a request is counted just after its reply has gone
        while b'http_requests_total{route="/similar/{title:path}",status="200"} 10.0' not in ask(f"{address}metrics")[1]:
            assert time.monotonic() < deadline_s, ask(f"{address}metrics")[1].decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_it_starts_bounds_requests_and_ends_without_redis(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text(f'[redis]\nurl = "redis://127.0.0.1:{free_port()}/0"\n[serve]\nlimit_s = 0.5\n')
    with serving(file) as (process, address):
        status, body = ask(f"{address}health/ready")
        assert (status, json.loads(body)["error"]["code"]) == (503, "not-ready")
        slow = said(
            address, b"POST /feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        assert slow.startswith(b"HTTP/1.1 503") and b"was not answered within 0.5 s" in slow
        endless = said(address, b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"x" * 200_000)
        assert endless.startswith(b"HTTP/1.1 400")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
