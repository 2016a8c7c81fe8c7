"""The request path's connection to one Redis server for asyncio: all requests share it, one after the other on the wire.

Redis answers in the order in which it was asked. So a request whose caller was cancelled, or whose time ran out, keeps its
place in the queue until its replies came, which are dropped.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from online.address import Address
from online.connection import keep_alive
from online.resolver import NetworkAddress
from online.resp import MISSING, Command, ReadError, TimedOut, Unreachable, pack, reply_reader
from shared.config import RedisConfig


class AsyncConnections:
    """The connection to the Redis server of a configuration, opened when it is needed. For one event loop at a time.

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
        self._is_closed = False
        self._link: _Link | None = None
        self._opening: asyncio.Task[_Link] | None = None

    async def read(self, commands: Sequence[Command], deadline_s: float | None = None) -> list[Any]:
        """See `online.resp.AsyncReads`."""
        return await self.exchange(pack(commands), len(commands), deadline_s)

    async def exchange(self, commands: bytes, replies: int, deadline_s: float | None = None) -> list[Any]:
        """The same for commands that are packed already.

        Parameters
        ----------
        replies : how many commands they are.
        """
        if deadline_s is None:
            deadline_s = time.monotonic() + self._limit_s
        link = await self._current(deadline_s)
        try:
            return await link.exchange(commands, replies, self._left(deadline_s))
        except Unreachable:
            if not link.has_answered:
                raise
        # The server closed a connection that had served before; to read again does no harm.
        link = await self._current(deadline_s)
        return await link.exchange(commands, replies, self._left(deadline_s))

    async def close(self) -> None:
        """See `online.resp.AsyncReads`. Exchanges under way fail as `Unreachable`."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._link is not None:
            self._link.abort(self._closed())
            await asyncio.sleep(0)  # the transport lets go of its socket in the loop's next round

    def _left(self, deadline_s: float) -> float:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise self._late()
        return left_s

    def _closed(self) -> str:
        return f"the connection to Redis at {self._address} has been closed"

    def _late(self) -> TimedOut:
        return TimedOut(f"Redis at {self._address} did not answer in time")

    async def _current(self, deadline_s: float) -> "_Link":
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise Unreachable(self._closed())
        if self._link is not None and self._link.is_open and self._link.loop is loop:
            return self._link
        # Requests that come while it is opened wait for one connection; it goes on when the first of them is cancelled.
        opening = self._opening
        if opening is None or opening.done() or opening.get_loop() is not loop:
            opening = self._opening = loop.create_task(self._open(loop))
            opening.add_done_callback(_take_note)
        await asyncio.wait((opening,), timeout=self._left(deadline_s))
        if not opening.done():
            raise self._late()
        if opening.cancelled():
            raise Unreachable(self._closed())
        error = opening.exception()
        if isinstance(error, TimeoutError):
            raise self._late()
        if isinstance(error, OSError):
            raise Unreachable(f"Redis at {self._address} cannot be reached: {error}")
        return opening.result()

    async def _open(self, loop: asyncio.AbstractEventLoop) -> "_Link":
        until_s = loop.time() + self._limit_s
        address, link = self._address, _Link(self._address, loop)
        if address.path:
            opened = await _connected(loop, (socket.AF_UNIX, address.path), self._limit_s)
            await loop.create_unix_connection(lambda: link, sock=opened)
        else:
            async with asyncio.timeout(self._limit_s):
                opened = await _connected_to_any(loop, address, until_s)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                keep_alive(opened)
                name = address.host if address.tls is not None else None
                await loop.create_connection(lambda: link, sock=opened, ssl=address.tls, server_hostname=name)
        self._link = link
        return link


class _Waiting:
    """An exchange whose replies are not all there."""

    __slots__ = ("due", "future", "heard", "replies")

    def __init__(self, due: int, future: "asyncio.Future[list[Any]] | None", heard: int) -> None:
        self.due = due
        self.future = future  # None: the greeting, which nobody waits for
        self.heard = heard
        self.replies: list[Any] = []


class _Link(asyncio.Protocol):
    """One open connection.

    Attributes
    ----------
    has_answered : it has served a request, so that its breaking off says nothing of the server as it is now.
    """

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_open = False
        self.has_answered = False
        self._address = address
        self._greeting = address.greeting()
        self._reader = reply_reader()
        self._queue: deque[_Waiting] = deque()
        self._heard = 0  # times that something was received
        self._trouble = f"Redis at {address} closed the connection"
        self._transport: asyncio.Transport

    async def exchange(self, commands: bytes, replies: int, limit_s: float) -> list[Any]:
        if not self.is_open:
            raise Unreachable(self._trouble)
        if self._greeting:  # takes no round trip of its own
            commands = pack(self._greeting) + commands
            self._queue.append(_Waiting(len(self._greeting), None, self._heard))
            self._greeting = []
        waiting = _Waiting(replies, self.loop.create_future(), self._heard)
        assert waiting.future is not None
        self._queue.append(waiting)
        self._transport.write(commands)
        timer = self.loop.call_later(limit_s, self._time_out, waiting)
        found = await waiting.future
        timer.cancel()  # not when the caller was cancelled: a server that fell silent is to be noticed all the same
        return found

    def abort(self, trouble: str) -> None:
        """Break it off; all that wait are told."""
        if self.is_open:
            self.is_open = False
            self._trouble = trouble
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        reader, queue = self._reader, self._queue
        try:
            reader.feed(data)
            while self.is_open and (reply := reader.gets()) is not MISSING:
                if not queue:
                    raise hiredis.ProtocolError("more replies than commands")
                waiting = queue[0]
                waiting.replies.append(reply)
                if len(waiting.replies) == waiting.due:
                    queue.popleft()
                    self._answer(waiting)
        except hiredis.ProtocolError as error:
            self.abort(f"what answers at {self._address} is not Redis: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if error is not None:
            self._trouble = f"the connection to Redis at {self._address} broke: {error}"
        queue, self._queue = self._queue, deque()
        for waiting in queue:
            _fail(waiting, Unreachable(self._trouble))

    def _answer(self, waiting: _Waiting) -> None:
        if waiting.future is None:
            try:
                self._address.check_greeting(waiting.replies)
            except Unreachable as error:
                self.abort(str(error))
        else:
            self.has_answered = True
            if not waiting.future.done():
                waiting.future.set_result(waiting.replies)

    def _time_out(self, waiting: _Waiting) -> None:
        if len(waiting.replies) == waiting.due:
            return
        _fail(waiting, TimedOut(f"Redis at {self._address} did not answer in time"))
        if self._heard == waiting.heard:
            # Nothing came since: perhaps nobody is there. Others that wait in the queue try anew.
            self.abort(f"Redis at {self._address} fell silent")


def _take_note(opening: "asyncio.Task[_Link]") -> None:
    """Its failure is told to who waits for it; where nobody does any more it is no news."""
    if not opening.cancelled():
        opening.exception()


def _fail(waiting: _Waiting, error: ReadError) -> None:
    if waiting.future is not None and not waiting.future.done():
        waiting.future.set_exception(error)


async def _connected_to_any(loop: asyncio.AbstractEventLoop, address: Address, until_s: float) -> socket.socket:
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for number, (family, _, _, _, target) in enumerate(found):
        # One that does not answer leaves the others their share of the time.
        share_s = (until_s - loop.time()) / (len(found) - number)
        try:
            return await _connected(loop, (family, target), share_s)
        except OSError:
            if number == len(found) - 1:
                raise
    raise OSError(f"{address.host!r} has no address")


async def _connected(loop: asyncio.AbstractEventLoop, target: NetworkAddress, limit_s: float) -> socket.socket:
    family, address = target
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        async with asyncio.timeout(limit_s):
            await loop.sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened
