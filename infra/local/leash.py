"""Becomes the command that it is given, and dies with the process that started it, however that ends.

Called by `infra.local.process` as `python -I -S leash.py PARENT_PID COMMAND…`. The kernel sends SIGKILL when the parent
is gone, so not even kill -9 of the parent leaves a stray. Set here, between fork and exec, because Python code run in
a fork of a process with threads can deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then replace it by the command."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(arguments[0]):  # the parent died before the tie was made
        sys.exit(1)
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
