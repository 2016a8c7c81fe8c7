"""A real TCP link between a client and a server that counts round trips, and can be stalled."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Link:
    """Forwards one port of this machine to another."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._last = ""
        self.round_trips = 0
        self.connections = 0
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._flows.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def stall(self) -> None:
        """Let nothing through, without closing anything."""
        self._flows.clear()

    def flow(self) -> None:
        """Let everything through again."""
        self._flows.set()

    def target(self, port: int) -> None:
        """Send later connections to another port."""
        self._target = port

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            self.connections += 1
            threading.Thread(target=self._forward, args=(near, far, "request"), daemon=True).start()
            threading.Thread(target=self._forward, args=(far, near, "reply"), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait(30)
                with self._lock:
                    self.round_trips += direction == "request" and self._last != "request"
                    self._last = direction
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
