"""A TCP link to Redis that can hold back what one connection sends, and deliver it later: long after the sender gave up on it."""

import contextlib
import socket
import threading
import time
from pathlib import Path

CHUNK_BYTES = 1 << 16


class SlowLink:
    """Passes connections on to a port of this machine.

    Parameters
    ----------
    signal : when this file appears, the next bytes that any connection sends are held back, and the file is removed.
    hold_s : for how long.
    """

    def __init__(self, to_port: int, signal: Path, hold_s: float) -> None:
        self._to_port = to_port
        self._signal = signal
        self._hold_s = hold_s
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.held = 0
        self.delivered = 0

    def start(self) -> None:
        """Begin to accept connections."""
        threading.Thread(target=self._accept, name="slow-link", daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to_port), timeout=5.0)
                except OSError:
                    client.close()
                    continue
                server.settimeout(None)
                for body, ends in ((self._up, (client, server)), (self._down, (server, client))):
                    threading.Thread(target=body, args=ends, daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), server:
            while data := client.recv(CHUNK_BYTES):
                if self._is_due():
                    time.sleep(self._hold_s)
                    server.sendall(data)
                    self.delivered += 1
                    continue
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            time.sleep(0.5)  # let the server run what it was sent before its connection goes

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while data := server.recv(CHUNK_BYTES):
                client.sendall(data)

    def _is_due(self) -> bool:
        with self._lock:
            if not self._signal.exists():
                return False
            self._signal.unlink()
            self.held += 1
            return True
