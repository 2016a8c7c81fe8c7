"""Set-up, as far as it goes without installing anything: a copy of it in a checkout of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local import kafka_broker

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What infra/setup.py reads of a checkout, without a .venv."""
    for name in (
        "infra/setup.py",
        "shared/__init__.py",
        "shared/errors.py",
        "shared/java.py",
        "shared/jars.py",
        "pyproject.toml",
    ):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path


def set_up(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run set-up as the Makefile does, by the Python under the .venv."""
    return subprocess.run(
        [sys.executable, "infra/setup.py", *arguments],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_without_java_it_says_so_before_anything_is_installed(checkout: Path, tmp_path: Path) -> None:
    if Path("/usr/lib/jvm").exists():
        find = 'USUAL_FOLDERS = ("/nowhere/*",)'
        source = (checkout / "shared" / "java.py").read_text()
        begin, end = source.index("USUAL_FOLDERS = ("), source.index('"""Where Java is looked for')
        (checkout / "shared" / "java.py").write_text(source[:begin] + find + "\n" + source[end:])
    bare = tmp_path / "bare"
    bare.mkdir()
    done = set_up(checkout, PATH=str(bare), JAVA_HOME="")  # no apt-get on this PATH either
    assert done.returncode == 2
    assert done.stderr.startswith("error: Spark 4.0 and Kafka need Java 17 or 21, but none was found; install one")
    assert done.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


@pytest.mark.slow
def test_a_stamp_of_the_same_set_up_ends_it_at_once_and_a_deleted_jar_does_not(checkout: Path, tmp_path: Path) -> None:
    code = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("setup", "infra/setup.py")
setup = importlib.util.module_from_spec(spec); spec.loader.exec_module(setup)
if sys.argv[1] == "key": print(setup._key())
else: print(setup.is_done())
"""

    def ask(what: str) -> str:
        command = [sys.executable, "-c", code, what]
        environment = {**os.environ, "MARQUEE_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(checkout)}
        return subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()

    jars = tmp_path / "cache" / "jars" / "kafka-1"
    jars.mkdir(parents=True)
    (jars / "a.jar").write_bytes(b"123")
    (jars / "manifest.json").write_text(json.dumps({"a.jar": 3}))
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert ask("done") == "False"
    (checkout / ".venv" / "marquee-setup.json").write_text(json.dumps({"key": ask("key"), "jars": [str(jars)]}))
    assert ask("done") == "True"
    (jars / "a.jar").write_bytes(b"12")  # cut off
    assert ask("done") == "False"
    (jars / "a.jar").write_bytes(b"123")
    (checkout / "constraints.txt").write_text("numpy==1.0\n")  # other versions asked for
    assert ask("done") == "False"


@pytest.mark.slow
def test_an_unknown_argument_is_refused(checkout: Path) -> None:
    done = set_up(checkout, "--frieze")
    assert done.returncode == 2
    assert done.stderr == "error: infra/setup.py knows no argument '--frieze'; there is only --freeze\n"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not Path("/etc/debian_version").exists(), reason="not root on Debian")
@pytest.mark.parametrize("says", ["E: Unable to locate package chromium", ""])
def test_a_browser_that_cannot_be_installed_does_not_end_the_set_up(checkout: Path, tmp_path: Path, says: str) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    if says:  # an apt-get that finds nothing, as one does without a network; otherwise there is none at all
        (bare / "apt-get").write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 100\n")
        (bare / "apt-get").chmod(0o755)
    code = "import runpy; runpy.run_path('infra/setup.py')['_want_browser'](); print('went on')"
    environment = {**os.environ, "PATH": str(bare), "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "went on"
    assert ("no Chromium could be installed" in done.stdout) == bool(says)


def test_constraints_hold_versions_and_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 50
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in pins)
    assert any(line.startswith("pyspark==4.0.") for line in pins)


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    drawn = {kafka_broker.new_cluster_id() for _ in range(2000)}  # one in 64 would begin with a dash
    assert len(drawn) == 2000
    assert not [one for one in drawn if one.startswith("-")]
    assert {len(one) for one in drawn} == {22}
