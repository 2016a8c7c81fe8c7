"""Lines that cannot be used, through the command: too many stop the import, few are put aside and counted."""

from pathlib import Path

import pytest

from tests.bad_input.command import INCUBATOR, QUICK_SPARK, run

pytestmark = pytest.mark.slow

AT_MS = 1_700_000_000_000


def commits(lake: Path, table: str) -> list[str]:
    """The commits of a table after the one that made it."""
    return sorted(path.name for path in (lake / table / "_delta_log").glob("*.json") if int(path.stem))


def test_too_many_stop_the_import_and_few_are_put_aside(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    (folder / "titles.csv").write_text("title_id,name,genres,released_ms,runtime_s\nt1,One,Drama,0,1800\n")
    good = [f"m{row},t1,{AT_MS + row},1" for row in range(60)]
    bad = ["m1,t1", f"m1,t9,{AT_MS},1", f"m1,t1,{AT_MS // 1000},1"]
    (folder / "interactions.csv").write_text("\n".join(["member_id,title_id,at_ms,weight", *good, *bad]))
    settings = tmp_path / "marquee.toml"

    settings.write_text(QUICK_SPARK)
    ended = run(tmp_path, "offline", "import", "history")
    file = f"{folder}/interactions.csv"
    assert ended.sentence == (
        "3 of 63 lines cannot be used, at most 1.00% are put up with (imports.bad_lines_share); nothing was imported; "
        f"{file} line 62: has 2 values; 4 are due; {file} line 63: title_id 't9' is not in titles.csv; "
        f"{file} line 64: at_ms 1700000000 looks like seconds; milliseconds are due"
    )
    assert ended.out == "[1/1] import: bring history (interactions) into the lake\n"
    lake = tmp_path / ".marquee" / "lake"
    assert not any(commits(lake, table) for table in ("silver/titles", "silver/plays", "silver/quarantine"))

    settings.write_text(f"{QUICK_SPARK}[imports]\nbad_lines_share = 0.05\n")
    ended = run(tmp_path, "offline", "import", "history")
    assert (ended.code, ended.err) == (0, INCUBATOR)
    assert ended.out.splitlines()[1].endswith("titles 1, plays 60, new plays 60, bad lines 3")
    assert all(commits(lake, table) for table in ("silver/titles", "silver/plays", "silver/quarantine"))
