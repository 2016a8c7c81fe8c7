"""The request path's own connections to one Redis server: the bytes of some commands go out, as many replies come in.

redis-py's pipeline costs a request more than Redis itself takes to answer. Here nothing stands between a request and its
socket but hiredis' parser. `online.fetching` reads through it; all else in Marquee talks to Redis through `shared.store`.
"""

import contextlib
import os
import socket
import time
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from online.address import Address
from online.resolver import NetworkAddress, Resolver
from online.resp import MISSING, Command, TimedOut, Unreachable, pack, reply_reader
from shared.config import RedisConfig

MAX_IDLE = 64
"""Connections kept for later requests: one is in use per thread that reads at a time."""
CHUNK_BYTES = 65536
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""In seconds and attempts: an idle connection whose other end is gone without a word is noticed after half a minute."""


class Connections:
    """Connections to the Redis server of a configuration, opened when they are needed. Thread-safe and fork-safe.

    Each exchange has a connection to itself. One that did not end as it should is closed, so that a late reply is never taken
    for that of another request.

    Parameters
    ----------
    limit_s : how long an exchange may take, connecting included, where the caller gives no deadline.

    Raises
    ------
    ConfigError : the configured address is none of a Redis server.
    """

    def __init__(self, config: RedisConfig, limit_s: float) -> None:
        self._address = Address.parse(config)
        self._limit_s = limit_s
        self._greeting = self._address.greeting()
        self._is_closed = False
        self._idle: deque[_Link] = deque()
        self._resolver = Resolver(self._address.host, self._address.port)
        _alive.add(self)

    def read(self, commands: Sequence[Command], deadline_s: float | None = None) -> list[Any]:
        """See `online.resp.Reads`."""
        return self.exchange(pack(commands), len(commands), deadline_s)

    def exchange(self, commands: bytes, replies: int, deadline_s: float | None = None) -> list[Any]:
        """The same for commands that are packed already.

        Parameters
        ----------
        replies : how many commands they are.
        """
        if deadline_s is None:
            deadline_s = time.monotonic() + self._limit_s
        if self._is_closed:
            raise Unreachable(f"the connections to Redis at {self._address} have been closed")
        idle = self._idle  # a forked child has another
        try:
            link, found = self._exchange(idle, commands, replies, deadline_s)
        except TimeoutError:
            raise TimedOut(f"Redis at {self._address} did not answer in time") from None
        except OSError as error:
            raise Unreachable(f"Redis at {self._address} cannot be reached: {error}") from None
        except hiredis.ProtocolError as error:
            raise Unreachable(f"what answers at {self._address} is not Redis: {error}") from None
        if self._is_closed or len(idle) >= MAX_IDLE:
            link.close()
        else:
            idle.append(link)
        return found

    def forget(self) -> None:
        """Let go of all connections without a word to the server: in a forked child they are still the parent's."""
        for link in self._idle:
            link.close()
        self._idle = deque()
        self._resolver = Resolver(self._address.host, self._address.port)

    def close(self) -> None:
        """See `online.resp.Reads`. An exchange under way in another thread still ends as it would."""
        self._is_closed = True
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()

    def _exchange(self, idle: "deque[_Link]", commands: bytes, replies: int, deadline_s: float) -> "tuple[_Link, list[Any]]":
        try:
            link = idle.pop()
        except IndexError:
            return self._first_exchange(commands, replies, deadline_s)
        try:
            return link, link.exchange(commands, replies, deadline_s)
        except TimeoutError:
            raise
        except OSError:  # the server had closed it; reading again does no harm
            return self._first_exchange(commands, replies, deadline_s)

    def _first_exchange(self, commands: bytes, replies: int, deadline_s: float) -> "tuple[_Link, list[Any]]":
        """The greeting takes no round trip of its own."""
        link = _Link(self._connect(deadline_s))
        greeted = len(self._greeting)
        found = link.exchange(pack(self._greeting) + commands, greeted + replies, deadline_s)
        try:
            self._address.check_greeting(found[:greeted])
        except Unreachable:
            link.close()
            raise
        return link, found[greeted:]

    def _connect(self, deadline_s: float) -> socket.socket:
        if self._address.path:
            return _connected((socket.AF_UNIX, self._address.path), deadline_s)
        targets = self._resolver.addresses(deadline_s)
        for number, target in enumerate(targets):
            # One that does not answer leaves the others their share of the time.
            share_s = _left(deadline_s) / (len(targets) - number)
            try:
                opened = _connected(target, time.monotonic() + share_s)
                break
            except OSError:
                if number == len(targets) - 1:
                    raise
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(opened)
            if self._address.tls is None:
                return opened
            opened.settimeout(_left(deadline_s))
            return self._address.tls.wrap_socket(opened, server_hostname=self._address.host)
        except BaseException:
            opened.close()
            raise


class _Link:
    """One open connection. An exchange that raises has closed it."""

    __slots__ = ("_reader", "_socket")

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._reader = reply_reader()

    def exchange(self, commands: bytes, replies: int, deadline_s: float) -> list[Any]:
        opened, reader = self._socket, self._reader
        found: list[Any] = []
        try:
            opened.settimeout(_left(deadline_s))
            opened.sendall(commands)
            while True:
                data = opened.recv(CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError("the server closed the connection")
                reader.feed(data)
                while (reply := reader.gets()) is not MISSING:
                    found.append(reply)
                if len(found) >= replies:
                    break
                opened.settimeout(_left(deadline_s))
            if len(found) > replies or reader.has_data():
                raise hiredis.ProtocolError("more replies than commands")
        except BaseException:
            opened.close()
            raise
        return found

    def close(self) -> None:
        self._socket.close()


def keep_alive(opened: socket.socket) -> None:
    """Let the system find out when the other end is gone."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not on every system
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _connected(target: NetworkAddress, deadline_s: float) -> socket.socket:
    family, address = target
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.settimeout(_left(deadline_s))
        opened.connect(address)
    except BaseException:
        opened.close()
        raise
    return opened


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the deadline has passed")
    return left_s


def _forget_all() -> None:
    for each in _alive:
        each.forget()


_alive: "weakref.WeakSet[Connections]" = weakref.WeakSet()
os.register_at_fork(after_in_child=_forget_all)
