"""The jobs as production runs them: `spark-submit infra/submit.py` on a standalone cluster, far from the checkout's folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from infra.local.settings import to_toml
from infra.local.spark_cluster import SparkCluster, spark_home
from offline.dag import NIGHTLY
from offline.jobs import Context, run_all
from online import Recommender
from shared import store, tables
from shared.config import Config
from shared.jars import spark_jars
from shared.java import find_java
from shared.lake import Lake
from shared.snapshots import SnapshotStore
from shared.store import StateStore
from tests.offline.pipeline import TITLES, plays, produce, records

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SUBMIT_LIMIT_S = 400
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"
IMPORTED, STREAMED = 600, 80
COLUMNS = [column.split()[0] for column in tables.PLAYS.columns.split(", ")[:11]]
"""What a play event of a user's file must have."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SparkCluster]:
    with SparkCluster(workers=2, cores=1, memory="1g", folder=tmp_path / "cluster") as running:
        yield running


def write_folder(folder: Path) -> Path:
    """A user's folder in Marquee's own layout, its history in two files."""
    (folder / "plays").mkdir(parents=True)
    rows = [f"t{number:02},Title {number},{'Drama' if number % 2 else 'Comedy'},,5400" for number in range(TITLES)]
    (folder / "titles.csv").write_text("\n".join(["title_id,name,genres,released_ms,runtime_s", *rows]))
    made = plays(IMPORTED)
    for part in range(2):
        lines = [",".join(str(getattr(play, name)) for name in COLUMNS) for play in made[part::2]]
        (folder / "plays" / f"part-{part}.csv").write_text("\n".join([",".join(COLUMNS), *lines]))
    return folder


def submit(cluster: SparkCluster, folder: Path, *arguments: str) -> str:
    """spark-submit a job from a folder of the driver's own, and wait for its end; what it printed."""
    command = [
        *(str(spark_home() / "bin" / "spark-submit"), "--master", cluster.master_url, "--conf", "spark.driver.host=127.0.0.1"),
        *("--conf", f"spark.pyspark.python={sys.executable}", "--jars", ",".join(str(jar) for jar in spark_jars())),
        *(str(ROOT / "infra" / "submit.py"), *arguments),
    ]
    return driver(folder, command)


def nightly(cluster: SparkCluster, folder: Path, settings: Path) -> str:
    """Submit the nightly run as cron, systemd and Kubernetes do; what it printed."""
    words = {"SPARK_MASTER": cluster.master_url, "MARQUEE_CONFIG": str(settings), "DRIVER_HOST": "127.0.0.1"}
    return driver(folder, [str(ROOT / "infra" / "schedules" / "nightly.sh")], words)


def driver(folder: Path, command: Sequence[str], words: Mapping[str, str] | None = None) -> str:
    """Run a driver that has a disk of its own at `folder`, starts there, and takes Spark's defaults from there."""
    defaults = {
        "spark.cores.max": "2",
        "spark.executor.cores": "1",
        "spark.executor.memory": "600m",
        "spark.executor.extraJavaOptions": JVM,
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",  # both workers take part
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"{JVM} -Djava.io.tmpdir={folder / 'disk'}",
        "spark.ui.enabled": "false",
    }
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "spark-defaults.conf").write_text("".join(f"{key} {value}\n" for key, value in defaults.items()))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "JAVA_HOME": str(find_java().parent.parent),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": str(folder / "disk"),
        **(words or {}),
    }
    (folder / "disk").mkdir(exist_ok=True)
    with subprocess.Popen(
        [*private_disk(folder / "disk"), *command],
        cwd=folder / "disk",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as job:
        try:
            said, told = job.communicate(timeout=SUBMIT_LIMIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGKILL)
    assert job.returncode == 0, said + told[-3000:]
    return said


def private_disk(folder: Path) -> list[str]:
    """Words before a command that give it a disk of its own at `folder`, which no other process sees; none without the right."""
    words = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && cd "$0" && exec "$@"', str(folder)]
    with contextlib.suppress(OSError):
        if subprocess.run([*words, "true"], capture_output=True, timeout=20).returncode == 0:
            return words
    return []


def statuses(said: str) -> dict[str, str]:
    """How each job ended, as the command told it."""
    return dict(re.findall(r"^\[\d+/\d+\] ([a-z-]+): (done|skipped) in ", said, re.MULTILINE))


def test_import_and_nightly_on_a_cluster(config: Config, cluster: SparkCluster, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "history")
    training = msgspec.structs.replace(config.training, factors=8, iterations=3, candidates=10, similar=5)
    config = msgspec.structs.replace(config, training=training)
    settings = tmp_path / "own.toml"
    settings.write_text(to_toml(config))
    streamed = plays(STREAMED, seed=2)
    produce(config, config.kafka.plays_topic, [*records(streamed), (b"m1", b"{}")])

    said = submit(cluster, tmp_path / "driver", "import", str(data), "--config", str(settings))
    assert f"titles {TITLES}, plays {IMPORTED}, new plays {IMPORTED}, bad lines 0" in said
    said = nightly(cluster, tmp_path / "driver", settings)
    assert statuses(said) == {each.name: "done" for each in NIGHTLY}
    assert f"records {STREAMED + 1}" in said
    assert {path.parents[1].name for path in cluster.folder.glob("worker-*/app-*/*")} == {"worker-1", "worker-2"}

    log = [*plays(IMPORTED), *streamed]
    members = {play.member_id for play in log}
    lake = Lake.open(config, "tests")
    found = {row["event_id"]: row.asDict() for row in lake.read(tables.PLAYS).collect()}
    assert found.keys() == {play.event_id for play in log}
    for play in log:
        wanted = {name: value for name, value in msgspec.structs.asdict(play).items() if name in COLUMNS}
        assert {name: found[play.event_id][name] for name in wanted} == wanted
    assert [row["source"] for row in lake.read(tables.QUARANTINE).collect()] == [config.kafka.plays_topic]
    for table in (tables.STATES, tables.CANDIDATES):
        assert {row["member_id"] for row in lake.read(table).select("member_id").collect()} == members
    ran = lake.read(tables.RUNS).collect()
    assert {row["job"]: row["status"] for row in ran} == dict.fromkeys(("import", *(each.name for each in NIGHTLY)), "done")

    client = store.connect(config.redis)
    snapshots = SnapshotStore(client, config.redis.namespace)
    version = snapshots.pointer(config.online.arm).current
    assert version is not None and f"version {version}" in said
    assert len(snapshots.load(version).catalogue) == TITLES
    states = {row["member_id"]: row["state"] for row in lake.read(tables.STATES).collect()}
    stored = StateStore(client, config.redis.namespace).read(sorted(states))
    assert [each.state for each in stored] == [bytes(states[name]) for name in sorted(states)]

    # Another driver, which is a Spark of its own, knows from the lake what need not be done again.
    outcomes = run_all(NIGHTLY, Context(config, lake, int(time.time() * 1000)))
    assert (outcomes[0].job, outcomes[0].details) == ("ingest", {"records": "0"})
    assert {outcome.job: outcome.status for outcome in outcomes[1:]} == dict.fromkeys(
        [each.name for each in NIGHTLY[1:]], "skipped"
    )

    with Recommender(config) as recommender:
        page = recommender.page(streamed[-1].member_id, country="US")
    assert (page.snapshot, page.fallbacks) == (version, ())
    assert page.fence and page.rows and all(row.cells for row in page.rows)
