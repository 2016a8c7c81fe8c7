"""Chooses ports for the local stack, and says in one sentence when a configured one is taken."""

import random
import socket

from shared.errors import UnavailableError

LOW, HIGH = 20_000, 32_000
"""Free ports are drawn from here: below the range from which the kernel gives outgoing connections their ports.

A client that keeps reconnecting to a port of that range, while its server restarts, may be given that very port and
end up connected to itself.
"""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(taken: frozenset[int] = frozenset()) -> int:
    """Draw a port on which nothing listens, and that is not in `taken`."""
    draw = random.SystemRandom()
    for _ in range(200):
        port = draw.randrange(LOW, HIGH)
        if port not in taken and is_free(port):
            return port
    raise UnavailableError(f"no free port between {LOW} and {HIGH} on 127.0.0.1")


def claim(what: str, configured: int | None, remembered: int | None, taken: frozenset[int] = frozenset()) -> int:
    """The port to use: the configured one, else the one used last time if it is still free, else a new one.

    Raises
    ------
    UnavailableError : the configured port is in use.
    """
    if configured is not None:
        if not is_free(configured):
            raise UnavailableError(f"port {configured}, configured for {what}, is already in use on 127.0.0.1")
        return configured
    if remembered is not None and remembered not in taken and is_free(remembered):
        return remembered
    return free_port(taken)
