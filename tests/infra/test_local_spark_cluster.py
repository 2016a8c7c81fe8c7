"""A job submitted to the standalone cluster, as to any other."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO

import psutil
import pytest

from infra.local.process import started_at, wait_until
from infra.local.spark_cluster import SparkCluster, spark_home
from shared.java import find_java

ROOT = Path(__file__).parents[2]
JOB = """
import os, sys, time
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("tiny").getOrCreate()
parts = spark.sparkContext.parallelize(range(100), 4)
def total(rows):
    time.sleep(0.5)  # long enough that one executor cannot take all parts
    yield os.environ.get("SPARK_EXECUTOR_DIRS", os.getcwd()), os.getpid(), sum(rows)
found = parts.mapPartitions(total).collect()
print("TOTAL", sum(part for _, _, part in found))
print("PLACES", len({place for place, _, _ in found}))
print("DRIVER", os.getpid() in {pid for _, pid, _ in found})
spark.stop()
"""


SLEEPER = """
import time
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("sleeper").getOrCreate()
spark.sparkContext.parallelize([0], 1).map(lambda _: time.sleep(120)).collect()
"""


def spark_submit(master_url: str, script: Path, log: IO[bytes], cores: int) -> subprocess.Popen[bytes]:
    """spark-submit a script for so many cores, which it waits for, in a process group of its own, its output to `log`."""
    settings = {
        "spark.executor.cores": "1",
        "spark.executor.memory": "512m",
        "spark.pyspark.python": sys.executable,
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.cores.max": str(cores),
    }
    options = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    return subprocess.Popen(
        [spark_home() / "bin" / "spark-submit", "--master", master_url, "--driver-memory", "512m", *options, script],
        env={**os.environ, "JAVA_HOME": str(find_java().parent.parent), "SPARK_LOCAL_IP": "127.0.0.1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end_group(leader: int) -> None:
    """End what spark-submit started, if it has not ended already: it does so by itself when it loses its master."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def submit(cluster: SparkCluster, script: Path) -> str:
    """Run a script on the cluster to its end; what it printed."""
    log_path = script.with_suffix(".log")
    with log_path.open("wb") as log, spark_submit(cluster.master_url, script, log, cores=2) as job:
        try:
            code = job.wait(200)
        finally:
            end_group(job.pid)
    assert code == 0, log_path.read_text()[-3000:]
    return log_path.read_text()


@pytest.mark.slow
def test_a_submitted_job_runs_on_both_workers(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    with SparkCluster(workers=2, cores=1, memory="600m", folder=tmp_path / "cluster") as cluster:
        processes = [psutil.Process(daemon.pid) for daemon in (cluster.master, *cluster.workers)]
        said = submit(cluster, script)
    assert "TOTAL 4950" in said
    assert "PLACES 2" in said
    assert "DRIVER False" in said
    assert not any(process.is_running() for process in processes)


@pytest.mark.slow
def test_neither_daemons_nor_executors_outlive_a_killed_owner(tmp_path: Path) -> None:
    code = """
        import sys, time, pathlib
        from infra.local.spark_cluster import SparkCluster
        with SparkCluster(workers=1, memory="600m", folder=pathlib.Path(sys.argv[1])) as cluster:
            print(cluster.master_url, cluster.master.pid, cluster.workers[0].pid, flush=True)
            time.sleep(200)
    """
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "cluster")]
    with contextlib.ExitStack() as held:
        owner = held.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        held.callback(owner.kill)
        assert owner.stdout is not None
        master_url, master, worker = owner.stdout.readline().split()
        log = held.enter_context((tmp_path / "job.log").open("wb"))
        job = held.enter_context(spark_submit(master_url, script, log, cores=1))
        held.callback(end_group, job.pid)
        started: dict[int, str] = {}

        def python_runs() -> bool:
            started.clear()
            for child in psutil.Process(int(worker)).children(recursive=True):
                with contextlib.suppress(psutil.Error):  # scripts on the way to the executor come and go
                    started[child.pid] = " ".join(child.cmdline())
            return sum("pyspark.daemon" in command for command in started.values()) >= 2  # the daemon, and its worker

        assert wait_until(python_runs, 90), (tmp_path / "job.log").read_text()[-3000:]
        pids = {int(master): "master", int(worker): "worker"} | started
        owner.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(started_at(pid) for pid in pids), 60)
        assert [what for pid, what in pids.items() if started_at(pid)] == []
