"""What a running stack says about itself on disk: who runs it, where its servers listen, how they fare.

Written by `infra.local.stack`, read by the commands of `python -m infra.local`. A lock on a file beside it, which the
kernel gives up with its owner, tells whether the owner lives.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from infra.local.process import is_alive, started_at, wait_until
from shared.whole_files import write_whole


class ProcessMark(msgspec.Struct, frozen=True):
    """One process, told from a later one with the same id by its start time."""

    pid: int
    start_time: float

    @classmethod
    def of(cls, pid: int) -> "ProcessMark":
        """The mark of a live process (a dead one's is never alive)."""
        return cls(pid, started_at(pid) or 0.0)

    @property
    def is_alive(self) -> bool:
        """Whether exactly this process still runs."""
        return is_alive(self.pid, self.start_time)


class ServerState(msgspec.Struct, frozen=True):
    """One server of the stack."""

    port: int
    process: ProcessMark | None = None
    exit: str | None = None  # how it ended, when it ended by itself


class StackState(msgspec.Struct, frozen=True):
    """The whole stack."""

    phase: Literal["starting", "up", "failed", "stopped"]
    owner: ProcessMark
    is_daemon: bool  # run by `up`; else by a library caller, whose process it belongs to
    message: str = ""  # why it failed
    controller_port: int = 0
    kafka: ServerState = ServerState(0)
    redis: ServerState = ServerState(0)

    @property
    def reports(self) -> list[str]:
        """How servers ended that ended by themselves."""
        return [server.exit for server in (self.kafka, self.redis) if server.exit]


def write(folder: Path, state: StackState) -> None:
    """Replace the state in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "state.json", msgspec.json.encode(state))


def read(folder: Path) -> StackState | None:
    """The state in `folder`; None when there is none, or one that an older version wrote."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=StackState)
    return None


def is_locked(folder: Path) -> bool:
    """Whether a live process runs the stack in `folder`."""
    try:
        with (folder / "lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Hold the stack's lock; gives False when another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as handle:

        def taken() -> bool:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        yield wait_until(taken, 1.0)  # `is_locked` holds it for an instant
