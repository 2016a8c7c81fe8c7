"""What connections to Redis have in common: commands as bytes, replies as values, and how reading can fail.

ReadError
├── TimedOut       no reply within the deadline
├── Unreachable    no connection, or one that broke or was refused
└── Refused        Redis answered one command with an error; it stands among the replies instead of being raised
"""

from collections.abc import Sequence
from typing import Any, Protocol

import hiredis

Command = tuple[bytes | str | int, ...]
"""Its name and arguments; text is sent as UTF-8."""

MISSING = object()
"""What a reader gives while the next reply is not whole yet."""


class ReadError(Exception):
    """Base of what keeps replies from a request."""


class TimedOut(ReadError):
    """Redis did not answer within the deadline."""


class Unreachable(ReadError):
    """Redis cannot be connected to, or broke the connection off, or refused the password or the database."""


class Refused(ReadError):
    """Redis' own answer to a command that it did not carry out."""


class Reads(Protocol):
    """Commands in, replies out, within a deadline: `online.connection` and `online.cluster_reads` have it."""

    def read(self, commands: Sequence[Command], deadline_s: float | None = None) -> list[Any]:
        """Send commands that only read, in one round trip.

        Parameters
        ----------
        deadline_s : on the monotonic clock, for all together and a new connection too; None allows the usual limit from now.

        Returns
        -------
        A reply a command, in their order: bytes, int, None, a list of those, or a `ReadError` where one alone failed.

        Raises
        ------
        TimedOut, Unreachable : there are no replies at all.
        """

    def close(self) -> None:
        """Close all connections. Later reads are refused as `Unreachable`."""


class AsyncReads(Protocol):
    """The same for asyncio: `online.async_connection` and `online.cluster_reads` have it."""

    async def read(self, commands: Sequence[Command], deadline_s: float | None = None) -> list[Any]:
        """See `Reads.read`."""

    async def close(self) -> None:
        """See `Reads.close`."""


def pack(commands: Sequence[Command]) -> bytes:
    """Commands as they are sent."""
    return b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]  # its stub knows only tuples of one


def reply_reader() -> hiredis.Reader:
    """Parses what is fed to it; `gets` gives the next reply, or `MISSING`. An error reply comes as `Refused`."""
    return hiredis.Reader(replyError=Refused, notEnoughData=MISSING)
