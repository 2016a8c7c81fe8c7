"""A real standalone Spark cluster on this machine, from the jars inside pyspark: a master and its workers as children.

Tests submit to it what production submits to a cluster, so that nothing leans on the driver's own disk or memory.
"""

import importlib.util
import json
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.local import ports
from infra.local.process import Service
from shared.errors import UnavailableError
from shared.java import find_java

REGISTER_LIMIT_S = 60.0


class SparkDaemon(Service):
    """One daemon of the cluster, with its web page as the health check."""

    def __init__(self, name: str, class_name: str, arguments: Sequence[str], folder: Path, web_port: int) -> None:
        super().__init__(name, folder / f"{name.lower().replace(' ', '-')}.log", start_limit_s=90.0, stop_limit_s=15.0)
        self._class_name = class_name
        self._arguments = arguments
        self._web_port = web_port

    def command(self) -> Sequence[str]:
        # spark-class ends in `exec java` with the options that this Spark wants: the process stays the one on the leash.
        return [str(spark_home() / "bin" / "spark-class"), self._class_name, *self._arguments]

    def environment(self) -> Mapping[str, str]:
        return {
            "SPARK_HOME": str(spark_home()),
            "JAVA_HOME": str(find_java().parent.parent),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_NO_DAEMONIZE": "1",
        }

    def check(self, limit_s: float) -> None:
        self.report(limit_s)

    def report(self, limit_s: float) -> dict[str, Any]:
        """What the daemon says of itself on /json/. Raises `UnavailableError` when it does not answer."""
        address = f"127.0.0.1:{self._web_port}"
        # No proxy: the address is this machine's.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{address}/json/", timeout=limit_s) as answer:
                found: dict[str, Any] = json.load(answer)
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise UnavailableError(f"{self.name} at {address} does not answer: {error}") from None
        return found


class SparkCluster:
    """A standalone master and workers, alive inside a `with` block and never beyond this process.

    Parameters
    ----------
    workers : how many worker processes.
    cores, memory : of each worker, for executors; memory as Spark writes it, such as "1g".
    folder : logs and the workers' scratch space; None takes a temporary folder that goes with the cluster.
    """

    def __init__(self, workers: int = 2, cores: int = 1, memory: str = "1g", folder: Path | None = None) -> None:
        self._count, self._cores, self._memory = workers, cores, memory
        self._temporary = tempfile.TemporaryDirectory(prefix="marquee-spark-") if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary else folder or Path()
        self._port = ports.free_port()
        web_ports = [self._port]
        for _ in range(workers + 1):
            web_ports.append(ports.free_port(frozenset(web_ports)))
        self.master = SparkDaemon(
            "Spark master",
            "org.apache.spark.deploy.master.Master",
            ["--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(web_ports[1])],
            self.folder,
            web_ports[1],
        )
        self.workers = [self._worker(number, web_port) for number, web_port in enumerate(web_ports[2:], start=1)]

    @property
    def master_url(self) -> str:
        """What `--master` takes."""
        return f"spark://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start all daemons and wait until every worker has registered.

        Raises
        ------
        UnavailableError : one does not come up within its limit; nothing is left running.
        """
        try:
            self.master.start()
            for worker in self.workers:
                worker.launch()
            for worker in self.workers:
                worker.wait()
            self._wait_registered()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all daemons and what they started, in good order or by force after their limits."""
        for daemon in (*self.workers, self.master):
            daemon.request_stop()
        for daemon in (*self.workers, self.master):
            daemon.wait_stopped()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _worker(self, number: int, web_port: int) -> SparkDaemon:
        options = {
            "--host": "127.0.0.1",
            "--webui-port": str(web_port),
            "--cores": str(self._cores),
            "--memory": self._memory,
            "--work-dir": str(self.folder / f"worker-{number}"),
        }
        arguments = [*(word for pair in options.items() for word in pair), self.master_url]
        return SparkDaemon(f"Spark worker {number}", "org.apache.spark.deploy.worker.Worker", arguments, self.folder, web_port)

    def _wait_registered(self) -> None:
        deadline = time.monotonic() + REGISTER_LIMIT_S
        while (alive := int(self.master.report(5.0)["aliveworkers"])) < self._count:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"only {alive} of {self._count} Spark workers registered with {self.master_url} within "
                    f"{REGISTER_LIMIT_S:.0f} s; see {self.folder}"
                )
            time.sleep(0.1)


def spark_home() -> Path:
    """The Spark inside the pyspark package. Raises `UnavailableError` when pyspark is not installed."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError("pyspark is not installed in this Python: run `make setup`")
    return Path(os.fspath(next(iter(spec.submodule_search_locations))))
