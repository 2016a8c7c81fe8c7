"""A user's folder that cannot be used, through the two commands that take one. No JVM is started for any of these."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.local import state
from offline.__main__ import main
from tests.bad_input.command import Ended, files, run

AT_MS = 1_700_000_000_000
TITLES = "title_id,name,genres,released_ms,runtime_s\nt1,One,Drama,0,1800\n"
INTERACTIONS = f"member_id,title_id,at_ms,weight\nm1,t1,{AT_MS},4\n"

CASES: dict[str, tuple[dict[str, str], str]] = {
    "nothing in it": ({}, "{folder}: no known layout; found nothing; expected u.item and u.data; or"),
    "an unknown layout": (
        {"plays.xlsx": "x", "notes.txt": "x"},
        "{folder}: no known layout; found notes.txt, plays.xlsx; expected",
    ),
    "titles alone": ({"titles.csv": TITLES}, "{folder}: no known layout; found titles.csv; expected"),
    "two histories": (
        {"titles.csv": TITLES, "interactions.csv": INTERACTIONS, "plays.csv": "event_id\n"},
        "{folder}: holds interactions and plays at once; keep the one that is to be imported",
    ),
    "an empty catalogue": (
        {"titles.csv": TITLES.splitlines()[0], "interactions.csv": INTERACTIONS},
        "{folder}: the data set is empty: no title in it",
    ),
    "an empty history": (
        {"titles.csv": TITLES, "interactions.csv": INTERACTIONS.splitlines()[0]},
        "{folder}: the data set is empty: no line in interactions.csv",
    ),
    "a duplicate title": (
        {"titles.csv": f"{TITLES}t2,Two,,,\nt1,Again,,,\n", "interactions.csv": INTERACTIONS},
        "{folder}/titles.csv line 4: title_id 't1' is already on line 2; each title is due once",
    ),
    "a bad title": (
        {"titles.csv": f"{TITLES}t2,Two,,,soon\n", "interactions.csv": INTERACTIONS},
        "{folder}/titles.csv line 3: runtime_s 'soon' is not a number; the line is",
    ),
    "a missing column": (
        {"titles.csv": TITLES, "interactions.csv": INTERACTIONS.replace("at_ms", "when")},
        "{folder}/interactions.csv: lacks the column 'at_ms'; expected member_id, title_id, at_ms, "
        "found member_id, title_id, when, weight",
    ),
    "seconds": (
        {"titles.csv": TITLES, "interactions.csv": INTERACTIONS.replace(str(AT_MS), str(AT_MS // 1000))},
        "{folder}/interactions.csv line 2: at_ms 1700000000 looks like seconds; milliseconds are due",
    ),
    "no Parquet": (
        {"titles.parquet": "x", "interactions.csv": INTERACTIONS},
        "{folder}/titles.parquet: is not a whole Parquet file",
    ),
}


@pytest.fixture
def history(tmp_path: Path) -> Callable[[str], Path]:
    """Makes the folder of a case."""

    def make(case: str) -> Path:
        folder = tmp_path / "history"
        folder.mkdir()
        for name, text in CASES[case][0].items():
            (folder / name).write_text(text)
        return folder

    return make


@pytest.mark.parametrize("case", CASES)
def test_a_folder_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: Callable[[str], Path], case: str
) -> None:
    folder = history(case)
    before = files(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["import", "history"])
    ended = Ended(result.exit_code, result.stdout, result.stderr)
    assert ended.out == ""
    assert ended.sentence.startswith(CASES[case][1].format(folder=folder))
    assert files(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", [("offline", "import"), ("infra.demo", "--data")], ids=lambda words: words[0])
def test_both_commands_in_processes_of_their_own(tmp_path: Path, history: Callable[[str], Path], words: tuple[str, str]) -> None:
    folder = history("a duplicate title")
    before = files(tmp_path)
    ended = run(tmp_path, *words, "history")
    assert (ended.out, ended.sentence) == ("", CASES["a duplicate title"][1].format(folder=folder))
    assert files(tmp_path) == before


@pytest.mark.slow
def test_a_simulated_world_that_cannot_be(tmp_path: Path) -> None:
    sentence = run(tmp_path, "infra.demo", "--titles", "5").sentence
    assert sentence == "the simulated world has 5 titles; 100 to 32000 are due"
    assert files(tmp_path) == set()


@pytest.mark.slow
def test_a_demo_where_another_is_running_leaves_it_alone(tmp_path: Path) -> None:
    kept = tmp_path / "demo" / "world" / "stack" / "kept"
    with state.lock(kept.parent):
        kept.touch()
        sentence = run(tmp_path, "infra.demo", "--root", "demo").sentence
    assert sentence == "another demo is running in demo/world; wait for its end, or name another folder with --root"
    assert kept.exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "{folder}/nowhere: no such folder"),
        ("file", "{folder}/file: is a file; a folder is expected"),
        ("ftps://host/history", "ftps://host/history: cannot be read here: Protocol not known: ftps"),
        ("", "the folder to import has an empty name"),
    ],
)
def test_no_folder_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["import", name])
    assert Ended(result.exit_code, result.stdout, result.stderr).sentence == sentence.format(folder=tmp_path)
    assert files(tmp_path) == {tmp_path / "file"}
