import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from offline.evaluation.asking import Request
from offline.evaluation.command import evaluate_command
from shared.cli import Group


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A checkerboard of 10 members, with what it leaves out as the test."""
    train = [f"m{i},t{j}" for i in range(10) for j in range(10) if i % 2 == j % 2 and i != j]
    tables = {"train": train, "test": [f"m{i},t{i}" for i in range(10)], "context": ["new,t1"]}
    paths = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, path in paths.items():
        path.write_text("\n".join(["member_id,title_id", *tables[name], ""]))
    return {name: str(path) for name, path in paths.items()}


def run(*arguments: str, command: click.Command | None = None) -> Result:
    group = Group("offline", commands={"evaluate": command or evaluate_command()})
    return CliRunner().invoke(group, ["evaluate", *arguments])


def test_prints_a_table_and_writes_json(files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run(
        *("--train", files["train"], "--test", files["test"], "--context", files["context"]),
        *("--model", "ials", "--set", "factors=4", "--metrics", "recall@1,ndcg@5", "--json", str(out)),
    )
    assert result.exit_code == 0, result.output
    assert "over popularity" in result.output
    tree = json.loads(out.read_text())
    assert tree["models"]["ials"]["metrics"]["all"]["recall@1"]["mean"] == 1.0
    assert tree["models"]["ials"]["settings"]["factors"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--train", "{train}"], "--train and --test go together"),
        (["--context", "{train}"], "--train and --test go together"),
        ([], "expected --train FILE --test FILE"),
        (["--train", "{train}", "--test", "missing.csv"], "missing.csv: no such file"),
        (["--train", "{train}", "--test", "{test}", "--model", "oracle"], "unknown model 'oracle'"),
        (["--train", "{train}", "--test", "{test}", "--set", "factors"], "--set factors: expected key=value"),
        (["--train", "{train}", "--test", "{test}", "--set", "a=1", "--set", "a=2"], "a is set twice"),
        (["--train", "{train}", "--test", "{test}", "--set", "colour=1"], "unknown setting 'colour'"),
        (["--train", "{train}", "--test", "{test}", "--set", "factors=-1"], "factors is -1; expected above 0"),
        (["--train", "{train}", "--test", "{test}", "--metrics", "auc@3"], "unknown metric 'auc@3'"),
        (["--train", "{train}", "--test", "{train}"], "no member of the test set"),
    ],
)
def test_bad_input_is_one_sentence(files: dict[str, str], arguments: list[str], message: str) -> None:
    result = run(*(argument.format(**files) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.output
    assert len([line for line in result.output.splitlines() if line.startswith("error: ")]) == 1


def test_without_files_the_lake_is_asked() -> None:
    asked: list[Request] = []

    class Found:
        def to_text(self) -> str:
            return "from the lake\n"

    def from_lake(request: Request) -> Any:
        asked.append(request)
        return Found()

    result = run("--set", "factors=4", "--keep-seen", command=evaluate_command(from_lake))
    assert result.output == "from the lake\n"
    assert asked[0].models == {"ials": ("ials", {"factors": "4"})}
    assert asked[0].keep_seen
