"""A TCP or TLS server that answers Redis' commands as a test tells it to."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import hiredis

Answer = Callable[[list[bytes]], bytes | None]
"""The bytes to answer a command with; None closes the connection."""


class FakeServer:
    """Listens on a port of this machine. What redis would say is up to `answer`; a greeting is accepted."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.connections = 0
        self.commands: list[list[bytes]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                opened, _ = self._listener.accept()
                self.connections += 1
                self._open.append(opened)
                threading.Thread(target=self._serve, args=(opened,), daemon=True).start()

    def _serve(self, opened: socket.socket) -> None:
        reader = hiredis.Reader()
        with contextlib.suppress(OSError):
            if self._tls is not None:
                opened = self._tls.wrap_socket(opened, server_side=True)
                self._open.append(opened)
            while data := opened.recv(65536):
                reader.feed(data)
                while command := reader.gets():
                    self.commands.append(command)
                    answer = b"+OK\r\n" if command[0] in (b"CLIENT", b"SELECT", b"AUTH") else self._answer(command)
                    if answer is None:
                        opened.shutdown(socket.SHUT_RDWR)
                        return
                    opened.sendall(answer)
