"""The deployment files say what the code understands. Containers and clusters are not started here."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.setup import UV_VERSION
from online.service.app import FOR_PROGRAMS
from shared import config as configuration

INFRA = Path(__file__).parents[2] / "infra"
SCRIPTS = sorted((INFRA / "schedules").glob("*.sh"))


@pytest.mark.parametrize("place", ["compose", "k8s"])
def test_configurations_have_only_known_keys(place: str) -> None:
    loaded = configuration.load(INFRA / place / "marquee.toml")
    assert loaded.redis.url == "redis://redis:6379/0"
    assert loaded.kafka.bootstrap_servers == "kafka:9092"


def test_all_ways_of_deploying_create_the_topics_that_the_configuration_names() -> None:
    kafka = configuration.Config().kafka
    names = [kafka.plays_topic, kafka.feedback_topic, kafka.impressions_topic, kafka.dead_letters_topic]
    assert f"for topic in {' '.join(names)}; do" in (INFRA / "compose.yaml").read_text()


def test_images_use_the_set_up_s_uv_and_the_tested_python() -> None:
    text = (INFRA / "Dockerfile").read_text()
    assert f"uv=={UV_VERSION}" in text
    assert "FROM python:3.11-" in text
    assert "lib/python3.11/site-packages/pyspark" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "command", "files"),
    [
        ("nearline", "worker", ("compose.yaml", "k8s/nearline.yaml", "systemd/marquee-nearline@.service")),
        ("online", "serve", ("compose.yaml", "k8s/online.yaml", "systemd/marquee-online.service")),
    ],
)
def test_every_service_is_started_by_a_command_that_its_layer_knows(layer: str, command: str, files: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", layer, command, "--help"],
        cwd=INFRA.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for name in files:
        lines = [line for line in (INFRA / name).read_text().splitlines() if re.search(rf"\b{command}\b.*--config", line)]
        assert lines, name
        for option in re.findall(r"--[a-z-]+", lines[0].partition(command)[2]):
            assert option in done.stdout, (name, option)


def test_the_server_s_images_and_probes_meet_its_port_and_paths() -> None:
    port = configuration.Config().serve.port
    for place in ("compose", "k8s"):
        assert configuration.load(INFRA / place / "marquee.toml").serve.host == "0.0.0.0"
    paths = {route.path for route in FOR_PROGRAMS}
    for name in ("compose.yaml", "k8s/online.yaml"):
        text = (INFRA / name).read_text()
        assert re.search(rf"(containerPort: |:){port}\b", text), name
        probed = set(re.findall(rf"localhost:{port}(/health/\w+)|path: (/health/\w+)", text))
        assert probed and {path for pair in probed for path in pair if path} <= paths
    assert "FROM base AS online" in (INFRA / "Dockerfile").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_executable_and_parse(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True, timeout=20)


@pytest.mark.slow
def test_the_nightly_script_asks_for_the_cluster_in_one_sentence() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "SPARK_MASTER"}
    done = subprocess.run(
        [INFRA / "schedules" / "nightly.sh"], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode != 0
    assert "SPARK_MASTER must name the Spark cluster" in done.stderr


@pytest.mark.parametrize("unit", sorted((INFRA / "systemd").iterdir()), ids=lambda unit: unit.name)
def test_units_start_what_the_checkout_has(unit: Path) -> None:
    parsed = configparser.RawConfigParser(strict=False, interpolation=None)
    parsed.read(unit)
    if unit.suffix == ".timer":
        assert (unit.with_suffix(".service")).exists()
        return
    program = parsed["Service"]["ExecStart"].split()[0].removeprefix("/opt/marquee/")
    assert program == ".venv/bin/python" or (INFRA.parent / program).exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on the PATH")
def test_the_kubernetes_files_build() -> None:
    done = subprocess.run(["kubectl", "kustomize", INFRA / "k8s"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    kinds = re.findall(r"^kind: (\w+)", done.stdout, re.MULTILINE)
    assert {"StatefulSet", "CronJob", "ConfigMap", "Deployment"} <= set(kinds)
    assert "image: marquee-nearline:0.1.0" in done.stdout
    assert "image: marquee-online:0.1.0" in done.stdout
