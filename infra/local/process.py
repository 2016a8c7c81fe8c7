"""One supervised child process: started on a leash, its output kept, health-checked, stopped with a limit."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from shared.errors import UnavailableError

LEASH = Path(__file__).with_name("leash.py")
LOG_LIMIT_BYTES = 20_000_000  # a log beyond this is put aside as .1 at the next start

# The kernel ends a leashed child when the *thread* that forked it ends, so that all are forked by one that stays.
_FORKER = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")


class Service:
    """A server as a child process that cannot outlive this one.

    Subclasses give the command, the health check and the way of asking it to stop.

    Parameters
    ----------
    name : for messages and the log file.
    log_path : its standard output and error are appended there.
    start_limit_s, stop_limit_s : how long starting and stopping may take.
    """

    def __init__(self, name: str, log_path: Path, *, start_limit_s: float = 60.0, stop_limit_s: float = 20.0) -> None:
        self.name = name
        self.log_path = log_path
        self.start_limit_s = start_limit_s
        self.stop_limit_s = stop_limit_s
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id. Raises `UnavailableError` when it was never started."""
        if self._child is None:
            raise UnavailableError(f"{self.name} has not been started")
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or was never started); negative is the signal that ended it."""
        return None if self._child is None else self._child.poll()

    @property
    def is_running(self) -> bool:
        """Whether the process is there; says nothing about its health."""
        return self._child is not None and self._child.poll() is None

    def command(self) -> Sequence[str]:
        """Program and arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Environment variables beyond this process's own."""
        return {}

    def check(self, limit_s: float) -> None:
        """Ask the server whether it serves; raise `UnavailableError` if it does not within `limit_s`."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write what the process needs before it starts."""

    def launch(self) -> None:
        """Start the process without waiting for it to serve. Does nothing while it runs."""
        if self.is_running:
            return
        self.prepare()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._child = spawn(self.command(), self.log_path, self.environment())

    def wait(self) -> None:
        """Wait until the server serves.

        Raises
        ------
        UnavailableError : it ended, or did not answer within its limit; with the last line of its log.
        """
        deadline = time.monotonic() + self.start_limit_s
        while True:
            if not self.is_running:
                raise UnavailableError(f"{self.name} ended with {_exit(self.exit_code)} while starting{self._last_words()}")
            try:
                return self.check(1.0)
            except UnavailableError as error:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"{self.name} did not serve within {self.start_limit_s:.0f} s ({error}){self._last_words()}"
                    ) from None
            time.sleep(0.05)

    def start(self) -> None:
        """Start the process and wait until it serves. Raises as `wait`; what was started is then ended."""
        self.launch()
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise

    def request_stop(self) -> None:
        """Ask the process to end in good order."""
        self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the process in good order, or by force after its limit. Does nothing when it is not running."""
        self.request_stop()
        self.wait_stopped()

    def wait_stopped(self) -> None:
        """Wait for a process that was asked to stop, and kill it after its limit."""
        if self._child is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(self.stop_limit_s)
        self.kill()

    def kill(self) -> None:
        """End the process and what it started at once, as kill -9 does."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)  # it leads its own session, and with it a group
        self._child.wait(10)

    def signal(self, number: int) -> None:
        """Send a signal to the process if it runs."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)

    def describe_exit(self) -> str:
        """How the process ended, in words."""
        return f"{self.name} (process {self.pid}) ended with {_exit(self.exit_code)}{self._last_words()}"

    def _last_words(self) -> str:
        lines = tail(self.log_path, 1)
        return f"; the last line of {self.log_path}: {lines[0][:300]}" if lines else f"; see {self.log_path}"


def spawn(command: Sequence[str], log_path: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `command` leashed to this process, in a session of its own so that Ctrl-C does not reach it."""
    leashed = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *command]

    def fork() -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    try:
        return _FORKER.submit(fork).result(30)
    except OSError as error:
        raise UnavailableError(f"{command[0]}: cannot be started ({error})") from None


def started_at(pid: int) -> float | None:
    """Start time of a live process, which together with its id names it for good; None when there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def is_alive(pid: int, start_time: float) -> bool:
    """Whether the process that had this id and start time (not just any with this id) still runs."""
    now = started_at(pid)
    return now is not None and abs(now - start_time) < 0.05


def end_process(pid: int, start_time: float, *, stop_limit_s: float) -> None:
    """SIGTERM, then SIGKILL after the limit, to exactly that process. Does nothing when it is gone."""
    for number, limit_s in ((signal.SIGTERM, stop_limit_s), (signal.SIGKILL, 10.0)):
        if not is_alive(pid, start_time):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_until(lambda: not is_alive(pid, start_time), limit_s)


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Poll `condition` until it holds; False when it does not within `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` non-empty lines of a log, of its last 64 KiB."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - 65_536))
            text = handle.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
