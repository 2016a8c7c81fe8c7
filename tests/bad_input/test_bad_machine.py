"""A machine that lacks something: Java, or room on a disk. Both are arranged in a mount namespace of the command's own."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.bad_input.command import QUICK_SPARK, Ended, files, run

pytestmark = pytest.mark.slow

NEEDS_JAVA = (
    "Spark 4.0 and Kafka need Java 17 or 21, but {found}; install one (on Debian: apt-get install openjdk-17-jre-headless)"
)
OWN_MOUNTS = ["unshare", "--mount", "sh", "-c"]


@pytest.fixture(scope="module")
def may_mount() -> None:
    try:
        done = subprocess.run([*OWN_MOUNTS, "mount -t tmpfs none /mnt"], capture_output=True, timeout=20)
    except OSError:
        pytest.skip("there is no unshare here")
    if done.returncode:
        pytest.skip(f"a tmpfs may not be mounted here: {done.stderr.decode().strip()}")


def without_java(folder: Path, path: Path, *arguments: str) -> Ended:
    """Run a command where no Java lies in its usual places, with one folder as its PATH and no JAVA_HOME."""
    inherited = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    environment = {**inherited, "PATH": str(path), "HOME": str(folder)}
    places = "/usr/lib/jvm /opt/java /opt/jdk* /usr/local/openjdk-*"
    hide = f'for place in {places}; do [ ! -d $place ] || /bin/mount -t tmpfs none $place; done; exec "$@"'
    return run(folder, *arguments, environment=environment, before=["/usr/bin/unshare", "--mount", "/bin/sh", "-c", hide, "sh"])


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize(
    "arguments",
    [("offline", "runs"), ("infra.local", "up", "--root", "stack"), ("infra.demo", "--root", "demo")],
    ids=lambda a: a[0],
)
def test_java_that_is_missing_or_too_old(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    old = tmp_path / "old"
    old.mkdir()
    assert without_java(tmp_path, old, *arguments).sentence.startswith(NEEDS_JAVA.format(found="none was found"))
    (old / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    (old / "java").chmod(0o755)
    found = f"found only Java 11 at {old}/java, which is too old"
    assert without_java(tmp_path, old, *arguments).sentence.startswith(NEEDS_JAVA.format(found=found))
    assert not [path for path in files(tmp_path) if path.suffix in {".aof", ".parquet"} or path.name == "meta.properties"]


def on_small_disk(folder: Path, size: str, *arguments: str) -> Ended:
    """Run a command that finds a small disk at `folder`/disk; what it leaves there is listed in `folder`/left."""
    script = (
        f"mount -t tmpfs -o size={size} none {folder}/disk || exit 99; "
        f'"$@"; code=$?; cd {folder}; find disk -type f > left; exit $code'
    )
    (folder / "disk").mkdir(exist_ok=True)
    return run(folder, *arguments, before=[*OWN_MOUNTS, script, "sh"])


@pytest.mark.usefixtures("may_mount")
def test_a_stack_on_a_disk_without_room(tmp_path: Path) -> None:
    sentence = on_small_disk(tmp_path, "3m", "infra.local", "up", "--root", "disk/stack").sentence
    assert sentence == f"{tmp_path}/disk/stack has 3.1 MB of free disk; a Kafka and a Redis need at least 100 MB"
    assert (tmp_path / "left").read_text() == ""


@pytest.mark.usefixtures("may_mount")
def test_a_lake_on_a_disk_that_fills_up(tmp_path: Path) -> None:
    history = tmp_path / "history"
    history.mkdir()
    (history / "titles.csv").write_text("title_id,name,genres,released_ms,runtime_s\nt1,One,Drama,0,1800\n")
    lines = (f"m{row},t1,{1_700_000_000_000 + row * 7919}" for row in range(30_000))
    (history / "interactions.csv").write_text("\n".join(["member_id,title_id,at_ms", *lines]))
    (tmp_path / "marquee.toml").write_text(f'[lake]\nroot = "disk/lake"\n{QUICK_SPARK}')
    ended = on_small_disk(tmp_path, "500k", "offline", "import", "history")
    assert (
        ended.sentence
        == f"importing {history} into the lake at file://{tmp_path}/disk/lake failed: IOException: No space left on device"
    )
    left = (tmp_path / "left").read_text().splitlines()
    commits = [path for path in left if path.endswith(".json") and not path.endswith("00000000000000000000.json")]
    assert not [path for path in commits if "silver" in path]
    assert not [path for path in left if "staging" in path]
