"""`python -m online experiments` as a person uses it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from online.__main__ import main

EXAMPLE = str(Path(__file__).parents[2] / "infra" / "experiments.example.toml")


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ("experiments", *arguments))
    assert result.exit_code == code, result.output
    return result.output


def test_check_prints_tests_cells_and_rules() -> None:
    lines = [line.split() for line in run("check", "--file", EXAMPLE).splitlines()]
    assert ["Held", "out", "from", "all", "tests:", "1", "%", "of", "all", "members"] in lines
    assert ["page", "long-rows", "20", "%", "control", "50", "%", "nothing"] in lines
    assert ["long-rows", "50", "%", "rows", "8;", "row_length", "40"] in lines
    assert ["long-rows", "tv", "2026-11-01", "00:00", "UTC", "2027-01-01", "00:00", "UTC", "2", "members"] in lines
    assert ["new-models", "DE,", "FR", "1", "member"] in lines
    assert ["2", "layers,", "3", "tests:", "no", "mistakes"] in lines
    assert ["Free", "in", "layer", "page:", "65", "%"] in lines


def test_sizes_add_up() -> None:
    rows = [line.split() for line in run("sizes", "--file", EXAMPLE, "--members", "50000").splitlines()[1:]]
    expected = {(test, cell): int(members.replace(",", "")) for test, cell, _, _, members in rows}
    assert expected["exploration", "softmax"] == 4950 and expected["new-models", "control"] == 2475
    assert sum(members for (test, _), members in expected.items() if test in ("holdout", "exploration")) == 50_000


def test_allocate_prints_a_members_cells() -> None:
    lines = [line.split() for line in run("allocate", "qa-1", "--file", EXAMPLE, "--country", "us").splitlines()]
    assert ["long-rows", "long-rows"] in lines and ["Changes:", "rows", "8;", "row_length", "40"] in lines
    answer = json.loads(run("allocate", "qa-3", "--file", EXAMPLE, "--json", "--at", "2030-01-01T00:00:00Z"))
    assert answer["cells"]["new-models"] == "candidate" and answer["changes"]["arm"] == "candidate"


def test_the_configuration_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "marquee.toml").write_text(f'[online]\nexperiments = "{EXAMPLE}"\n')
    assert "3 tests: no mistakes" in run("check", "--config", str(tmp_path / "marquee.toml"))


def test_rules_and_times_are_asked_as_the_request_says(tmp_path: Path) -> None:
    file = tmp_path / "experiments.toml"
    file.write_text(
        "[layers.l]\nsalt = 's'\n[tests.t]\nlayer = 'l'\nshare = 1.0\nstart = 2026-01-01T00:00:00Z\n[tests.t.cells.a]\n"
        "[tests.t.rules]\n"
        "members = 'cold'\nattributes = { plan = ['pro'] }\ndevices = ['phone']\ncountries = ['DE']\n"
    )
    asked = {"--device": "phone", "--country": "de", "--attribute": "plan=pro", "--at": "2026-01-01"}
    for changed in (None, *asked):
        options = [text for name, value in asked.items() if name != changed for text in (name, value)]
        options += [] if changed != "--at" else ["--at", "2025-12-31T23:59:59Z"]
        text = run("allocate", "m1", "--file", str(file), "--cold", *options)
        assert ("m1 is in no test." in text) == (changed is not None)
    assert "in no test" in run(
        "allocate", "m1", "--file", str(file), "--known", *(text for pair in asked.items() for text in pair)
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("check",), "no experiments file: [online] experiments of the configuration is empty; name one with --file"),
        (("check", "--file", "nowhere.toml"), "nowhere.toml: no such experiments file"),
        (("check", "--file", "bad.toml"), "bad.toml: test 't', cell 'a': policy 'best' is unknown; known: template"),
        (("allocate", "", "--file", EXAMPLE), "member_id is empty"),
        (("allocate", "m1", "--file", EXAMPLE, "--country", "USA"), "country is 'USA'"),
        (("allocate", "m1", "--file", EXAMPLE, "--attribute", "plan"), "--attribute is 'plan'; NAME=VALUE is expected"),
        (("allocate", "m1", "--file", EXAMPLE, "--at", "noon"), "--at is 'noon'; a time such as"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MARQUEE_CONFIG", raising=False)
    bad = "[layers.l]\nsalt = 's'\n[tests.t]\nlayer = 'l'\nshare = 1.0\n[tests.t.cells.a]\nchanges.policy = 'best'\n"
    (tmp_path / "bad.toml").write_text(bad)
    text = run(*arguments, code=2)
    assert text.startswith("error: ") and says in text and text.count("\n") == 1
