"""`python -m offline train` on files: the model, the record of the run, and going on after being stopped or killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from offline.__main__ import main
from offline.interaction_files import read_interactions
from offline.interactions import Interactions
from offline.models import create_model, load_model
from tests.builders import random_interactions

ITERATIONS = 60
LONG_RUN = ("--model", "ials", "--set", "factors=16", "--set", f"iterations={ITERATIONS}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Interactions in two parts, as CSV."""
    folder = tmp_path_factory.mktemp("files")
    world = random_interactions(members=1500, titles=400, share=0.05)
    out = np.random.default_rng(0).random(world.matrix.nnz) < 0.1
    for name, part in (("train", world.where(~out)), ("validation", world.where(out))):
        rows = zip(part.entry_members, part.matrix.indices, part.matrix.data, strict=True)
        lines = [f"{part.member_ids[member]},{part.title_ids[title]},{weight}\n" for member, title, weight in rows]
        (folder / f"{name}.csv").write_text("member_id,title_id,weight\n" + "".join(lines))
    return {path.stem: path for path in folder.iterdir()}


def trained(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def test_a_run_leaves_the_model_and_its_record(files: dict[str, Path], tmp_path: Path) -> None:
    options = ("--train", files["train"], "--validation", files["validation"], "--model", "blend", "--to", tmp_path / "m")
    result = trained(*options, "--set", "sources=ials,popularity", "--set", "ials.factors=8")
    assert result.exit_code == 0, result.output
    record = record_of(tmp_path / "m")
    train = Interactions.from_rows(read_interactions(files["train"]))
    assert record["model"] == "blend" and record["settings"]["parts"] == {"ials": {"factors": "8"}}
    assert record["data"]["entries"] == train.matrix.nnz and record["data"]["source"] == str(files["train"])
    assert record["seconds"] > 0 and record["cpu_seconds"] > 0 and record["peak_memory_mb"] > 10
    assert record["resumed_from"] is None and record["passes"] == 4
    assert 0 < record["metrics"]["ndcg@20"] < 1 and 0 < record["metrics"]["ndcg@20 of ials"] < 1
    assert record["versions"]["torch"] and record["device"].startswith(("CPU", "NVIDIA"))
    assert {path.name.partition("-")[0] for path in (tmp_path / "m").iterdir()} == {"model.json", "run.json", "tensors"}
    assert load_model(tmp_path / "m").title_ids.tolist() == train.title_ids.tolist()
    assert "saved in" in result.output


def test_the_fingerprint_tells_data_apart(files: dict[str, Path], tmp_path: Path) -> None:
    marks = []
    for name in ("train", "train", "validation"):
        trained("--train", files[name], "--model", "popularity", "--to", tmp_path)
        marks.append(record_of(tmp_path)["data"]["fingerprint"])
    assert marks[0] == marks[1] != marks[2]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--train", "{train}"], "--to FOLDER is missing"),
        (["--to", "somewhere"], "go with --train FILE"),
        (["--train", "{train}", "--to", "{folder}", "--model", "oracle"], "unknown model 'oracle'"),
        (["--train", "missing.csv", "--to", "{folder}"], "missing.csv: no such file"),
        (["--train", "{train}", "--to", "{folder}", "--set", "colour=1"], "unknown setting 'colour'"),
        (["--train", "{train}", "--to", "{folder}", "--validation", "{train}"], "no member of the test set has a title there"),
        (["--train", "{train}", "--to", "{train}", "--model", "popularity"], "cannot be saved"),
        (["--train", "{train}", "--to", "{damaged}", "--model", "ials"], "to train from the beginning, remove"),
    ],
)
def test_mistakes_are_told_in_one_sentence(arguments: list[str], reason: str, files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "damaged" / "checkpoint").mkdir(parents=True)
    (tmp_path / "damaged" / "checkpoint" / "model.json").write_text("{")
    places = {**files, "folder": tmp_path / "m", "damaged": tmp_path / "damaged"}
    result = trained(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2
    assert reason in result.output and result.output.startswith("error: ") and "Traceback" not in result.output


def pass_kept(folder: Path) -> int:
    """The last pass in the folder's checkpoint, 0 without one."""
    try:
        return int(json.loads((folder / "checkpoint" / "model.json").read_text())["settings"]["number"])
    except (FileNotFoundError, json.JSONDecodeError):
        return 0


def stopped_by(number: signal.Signals, beyond: int, command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the command until a pass beyond some other is kept, and send it a signal."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while pass_kept(folder) <= beyond and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_model(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "m"
    command = [sys.executable, "-m", "offline", "train", "--train", str(files["train"]), "--to", str(folder), *LONG_RUN]
    command += ["--checkpoint-s", "0"]
    killed = stopped_by(signal.SIGKILL, 2, command, folder)
    assert killed.returncode == -signal.SIGKILL
    first = pass_kept(folder)
    assert 2 < first < ITERATIONS and not (folder / "model.json").exists()
    told = stopped_by(signal.SIGTERM, first, command, folder)
    assert told.returncode == 128 + signal.SIGTERM, told.stderr
    second = pass_kept(folder)
    assert f"stopped after pass {second}" in told.stderr and first < second < ITERATIONS
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    record = record_of(folder)
    assert (record["resumed_from"], record["passes"]) == (second, ITERATIONS)
    assert f"gone on from pass {second}" in done.stdout and not (folder / "checkpoint").exists()
    train = Interactions.from_rows(read_interactions(files["train"]))
    expected = create_model("ials", factors=16, iterations=ITERATIONS).fit(train).recommend(np.arange(50), 10)
    found = load_model(folder).recommend(np.arange(50), 10)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)
