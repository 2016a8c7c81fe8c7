import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from offline.evaluation.asking import Request
from offline.evaluation.command import compare_command, evaluate_command
from shared.cli import Group


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A checkerboard of 10 members, with what it leaves out as the test."""
    train = [f"m{i},t{j}" for i in range(10) for j in range(10) if i % 2 == j % 2 and i != j]
    tables = {"train": train, "copy": train, "test": [f"m{i},t{i}" for i in range(10)], "context": ["new,t1"]}
    tables["unknown"] = ["m1,none", "new,none"]
    paths = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, path in paths.items():
        path.write_text("\n".join(["member_id,title_id", *tables[name], ""]))
    return {name: str(path) for name, path in paths.items()}


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Members in two groups that each play ten titles of their own, in an order that differs."""
    path = tmp_path / "data.csv"
    rows = [f"m{m},t{2 * ((m + n) % 10) + m % 2},{n},{'US' if m % 2 else 'DE'}" for m in range(30) for n in range(8)]
    path.write_text("\n".join(["member_id,title_id,at_ms,country", *rows, ""]))
    return str(path)


@pytest.fixture
def titles(tmp_path: Path) -> str:
    path = tmp_path / "titles.csv"
    rows = [f"t{n},Title {n},{'Drama' if n % 2 else 'Comedy|Family'}" for n in range(20)]
    path.write_text("\n".join(["title_id,name,genres", *rows, ""]))
    return str(path)


def run(*arguments: str, name: str = "evaluate", command: click.Command | None = None) -> Result:
    group = Group("offline", commands={"evaluate": command or evaluate_command(), "compare": compare_command()})
    return CliRunner().invoke(group, [name, *arguments])


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
        (["--train", "{train}", "--test", "{train}"], "--train and --test are the same file"),
        (["--train", "{train}", "--context", "{test}", "--test", "{test}"], "--context and --test are the same file"),
        (["--train", "{train}", "--test", "{copy}"], "no member of the test set has a title there"),
        (["--train", "{train}", "--context", "{context}", "--test", "{unknown}"], "none of the titles to be found"),
        (["--data", "{train}"], "--data needs to be told how to split"),
        (["--data", "{train}", "--test", "{test}", "--split", "time"], "expected it without --train"),
        (["--data", "{train}", "--split", "time"], "needs the column at_ms"),
        (["--data", "{train}", "--split", "random", "--test-share", "1"], "--test-share is 1.0; expected between 0 and 1"),
        (["--train", "{train}", "--test", "{test}", "--save-split", "x"], "--save-split goes with --data"),
        (["--train", "{train}", "--test", "{copy}", "--split", "random"], "the split leaks: 40 test interactions are known"),
        (["--train", "{train}", "--test", "{test}", "--titles", "none.csv"], "none.csv: no such file"),
        (["--train", "{train}", "--test", "{test}", "--metrics", "calibration@5"], "need a file of titles (--titles)"),
        (["--train", "{train}", "--test", "{test}", "--segments", "mood"], "unknown segments 'mood'"),
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
    for option, value in (("--split", "time"), ("--titles", "titles.csv"), ("--save-split", "parts"), ("--context-share", "0.5")):
        refused = run(option, value, command=evaluate_command(from_lake))
        assert refused.exit_code == 2
        assert f"error: {option} goes with files" in refused.output
    assert len(asked) == 1


@pytest.mark.parametrize("method", ["time", "leave-one-out", "member", "random"])
def test_one_file_is_split_and_the_saved_split_gives_the_same(data: str, tmp_path: Path, method: str) -> None:
    parts = tmp_path / "parts"
    asked = ("--model", "popularity", "--metrics", "recall@3")
    made = run("--data", data, "--split", method, "--save-split", str(parts), "--json", str(tmp_path / "made.json"), *asked)
    assert made.exit_code == 0, made.output
    files = [part for name in ("train", "context", "test") for part in (f"--{name}", str(parts / f"{name}.parquet"))]
    if method != "member":
        files = [*files[:2], *files[4:]]
    again = run(*files, "--split", method, "--json", str(tmp_path / "again.json"), *asked)
    assert again.exit_code == 0, again.output
    assert "without leaks" in again.output
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("made", "again"))
    assert one["models"]["popularity"]["metrics"] == other["models"]["popularity"]["metrics"]


def test_compare_prints_differences_from_the_first_and_draws(data: str, titles: str, tmp_path: Path) -> None:
    figure, out = tmp_path / "figure.svg", tmp_path / "out.json"
    result = run(
        *("--data", data, "--split", "random", "--titles", titles, "--segments", "all"),
        *("--model", "ials:factors=2,iterations=2", "--model", "ials:factors=4", "--model", "popularity"),
        *("--metrics", "recall@3,calibration@3,gini@3", "--figure", str(figure), "--json", str(out)),
        name="compare",
    )
    assert result.exit_code == 0, result.output
    assert "over ials:factors=2,iterations=2" in result.output
    assert "by country" in result.output
    tree = json.loads(out.read_text())
    assert tree["models"]["ials:factors=4"]["lift"]["all"]["calibration@3"].keys() == {"mean", "low", "high"}
    assert tree["models"]["ials:factors=2,iterations=2"]["settings"]["iterations"] == 2
    drawn = figure.read_text()
    for text in ("recall@3", "calibration@3", "gini@3", "ials:factors=4", "popularity"):
        assert f"<!-- {text} -->" in drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "ials", "--model", "ials"], "--model ials is given twice"),
        (["--model", "ials:factors"], "--model ials:factors: factors: expected key=value"),
        (["--model", "ials", "--figure", "x.gif"], "x.gif: unknown kind of figure '.gif'"),
        (["--model", "oracle"], "unknown model 'oracle'"),
        (["--model", "popularity", "--figure", "none/x.png"], "x.png: cannot be written (No such file or directory)"),
    ],
)
def test_compare_refuses_in_one_sentence(data: str, arguments: list[str], message: str) -> None:
    result = run("--data", data, "--split", "random", *arguments, name="compare")
    assert result.exit_code == 2
    assert message in result.output
    assert len([line for line in result.output.splitlines() if line.startswith("error: ")]) == 1
