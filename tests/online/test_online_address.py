"""Addresses of Redis are read as redis-py reads them, and bad ones are named."""

import socket
import threading
import time

import msgspec
import pytest
from redis.connection import parse_url

from online.address import Address, is_cluster
from online.resolver import Resolver
from online.resp import Refused, TimedOut, Unreachable
from shared.config import RedisConfig
from shared.errors import ConfigError

REDIS_PY_NAMES = {"host": "localhost", "port": 6379, "path": "", "db": 0, "username": "", "password": ""}


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://cache",
        "redis://cache:7000/3",
        "redis://cache?db=4",
        "redis://10.0.0.1/2?db=4",
        "redis://:secret@cache:7000",
        "redis://ann:s%40cr%2Fet@cache/1",
        "redis://cache/0?username=ann&password=secret",
        "redis://[::1]:7000/1",
        "unix:///run/redis.sock",
        "unix://ann:secret@/run/redis.sock?db=5",
        "unix:///run/my%20redis.sock",
        "rediss://cache:7000/3",
    ],
)
def test_an_address_means_what_it_means_to_redis_py(url: str) -> None:
    address = Address.parse(RedisConfig(url=url))
    expected = REDIS_PY_NAMES | {name: value for name, value in parse_url(url).items() if name in REDIS_PY_NAMES}
    assert {name: getattr(address, name) for name in REDIS_PY_NAMES} == expected
    assert (address.tls is not None) == url.startswith("rediss:")


def test_the_configured_password_is_that_of_an_address_without_one() -> None:
    config = RedisConfig(url="redis://ann@cache/2", password="secret")
    assert Address.parse(config).greeting()[:2] == [("AUTH", "ann", "secret"), ("SELECT", 2)]
    own = msgspec.structs.replace(config, url="redis://:own@cache")
    assert Address.parse(own).greeting()[0] == ("AUTH", "own")
    assert [command[0] for command in Address.parse(RedisConfig(url="redis://cache")).greeting()] == ["CLIENT"]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://cache", "redis://"),
        ("cache:6379", "redis://"),
        ("redis://cache:99999", "[Pp]ort"),
        ("redis://cache:port", "[Pp]ort"),
        ("redis://cache/first", "'first' is no number"),
        ("redis://cache?db=-1", "'-1' is no number"),
        ("unix://", "path of the socket is missing"),
        ("redis://cache?colour=red", "unknown option 'colour'"),
        ("rediss://cache?ssl_cert_reqs=perhaps", "'perhaps'.*none, optional, required"),
        ("rediss://cache?ssl_check_hostname=perhaps", "'perhaps'.*true or false"),
        ("rediss://cache?ssl_ca_certs=/nowhere/ca.pem", "No such file"),
    ],
)
def test_a_bad_address_is_named(url: str, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[redis\] url: .*{named}"):
        Address.parse(RedisConfig(url=url))


@pytest.mark.parametrize(
    "url", ["redis://ann:secret@cache/first", "redis://:secret@cache/first", "redis://c/first?password=secret"]
)
def test_no_message_has_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Address.parse(RedisConfig(url=url))
    assert "secret" not in str(raised.value) and "***" in str(raised.value)


def test_tls_checks_certificates_unless_told_otherwise() -> None:
    def settings(options: str) -> tuple[bool, str]:
        context = Address.parse(RedisConfig(url=f"rediss://cache{options}")).tls
        assert context is not None
        return context.check_hostname, context.verify_mode.name

    assert settings("") == (True, "CERT_REQUIRED")
    assert settings("?ssl_check_hostname=false") == (False, "CERT_REQUIRED")
    assert settings("?ssl_cert_reqs=none") == (False, "CERT_NONE")


def test_a_refused_greeting_is_told_but_a_refused_name_is_not() -> None:
    address = Address.parse(RedisConfig(url="redis://:secret@cache/9"))
    address.check_greeting([b"OK", b"OK", Refused("NOPERM no permission for client|setname")])
    with pytest.raises(Unreachable, match=r"cache:6379 refused SELECT: ERR DB index is out of range"):
        address.check_greeting([b"OK", Refused("ERR DB index is out of range"), b"OK"])


def test_clusters_are_told_apart() -> None:
    assert is_cluster("redis+cluster://a:1,b:2") and is_cluster("rediss+cluster://a")
    assert not is_cluster("redis://cluster") and not is_cluster("unix:///redis+cluster")


def test_a_name_is_looked_up_within_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:

    real, answers = socket.getaddrinfo, threading.Event()
    lookups: list[str] = []

    def slow(host: str, port: int, *, type: int, flags: int) -> object:
        if flags:
            return real(host, port, type=type, flags=flags)
        lookups.append(host)
        answers.wait(10)
        return real("127.0.0.1", port, type=type, flags=flags)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = Resolver("cache.example", 6379)
    before = time.monotonic()
    for _ in range(3):
        with pytest.raises(TimedOut, match=r"'cache.example' was not found in time"):
            resolver.addresses(time.monotonic() + 0.02)
    assert time.monotonic() - before < 1
    assert lookups == ["cache.example"]
    answers.set()
    assert resolver.addresses(time.monotonic() + 5) == [(socket.AF_INET, ("127.0.0.1", 6379))]
    answers.clear()  # the name server fails again: what it said last serves
    assert resolver.addresses(time.monotonic() + 0.02) == [(socket.AF_INET, ("127.0.0.1", 6379))]
    answers.set()
    assert Resolver("10.1.2.3", 1).addresses(time.monotonic() - 1) == [(socket.AF_INET, ("10.1.2.3", 1))]


def test_a_name_that_nobody_knows_is_unreachable() -> None:

    with pytest.raises(Unreachable, match=r"'no-such-host.invalid' is not known"):
        Resolver("no-such-host.invalid", 1).addresses(time.monotonic() + 20)
