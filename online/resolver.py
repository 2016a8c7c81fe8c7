"""The network addresses of Redis' host within a deadline, which the system's own look-up knows nothing of."""

import socket
import threading
import time
from typing import Any

from online.resp import TimedOut, Unreachable

NetworkAddress = tuple[socket.AddressFamily, Any]
"""Family and socket address, as `socket.connect` takes it."""


class Resolver:
    """Looks a name up anew for every connection, so that one that moved is found; what was found before serves meanwhile."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._lookup: _Lookup | None = None
        self._known: list[NetworkAddress] = []

    def addresses(self, deadline_s: float) -> list[NetworkAddress]:
        """At least one address.

        Raises
        ------
        TimedOut : the name was not found by the deadline, on the monotonic clock.
        Unreachable : nobody knows the name.
        """
        try:
            return _look_up(self._host, self._port, socket.AI_NUMERICHOST)
        except socket.gaierror:
            pass  # it is a name
        with self._lock:
            if self._lookup is None or self._lookup.done.is_set():
                self._lookup = _Lookup(self._host, self._port)
            lookup = self._lookup  # one at a time: a stuck name server does not get a thread of each request
        in_time = lookup.done.wait(max(0.0, deadline_s - time.monotonic()))
        self._known = lookup.found or self._known
        if self._known:
            return self._known
        if not in_time:
            raise TimedOut(f"the name {self._host!r} was not found in time")
        raise Unreachable(f"the name {self._host!r} is not known ({lookup.error})")


class _Lookup:
    def __init__(self, host: str, port: int) -> None:
        self.done = threading.Event()
        self.found: list[NetworkAddress] = []
        self.error: OSError | None = None
        threading.Thread(target=self._run, args=(host, port), name="resolver", daemon=True).start()

    def _run(self, host: str, port: int) -> None:
        try:
            self.found = _look_up(host, port, 0)
        except OSError as error:
            self.error = error
        finally:
            self.done.set()


def _look_up(host: str, port: int, flags: int) -> list[NetworkAddress]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]
