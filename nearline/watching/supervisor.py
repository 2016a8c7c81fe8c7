"""Tells systemd how the worker is, if systemd runs it: `READY=1`, and `WATCHDOG=1` for as long as all is well.

The protocol is one datagram to the socket that $NOTIFY_SOCKET names (sd_notify(3)); elsewhere the variable is not set.
"""

import contextlib
import os
import socket


def tell(state: str) -> None:
    """Send one state; a supervisor that cannot be reached is not the worker's concern."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
