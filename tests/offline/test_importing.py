"""The import on real Spark and Delta: everything usable arrives once, what is not is kept with its reason, or nothing arrives."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from infra.demo.world import World
from offline import importing, jobs
from offline.__main__ import main
from offline.jobs import Context
from shared import tables
from shared.config import Config, ImportConfig, LakeConfig
from shared.errors import InputError, UnavailableError
from shared.lake import Lake

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
AT_MS = 1_700_000_000_000
NOW_MS = 1_800_000_000_000


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    config = Config(lake=LakeConfig(root=str(tmp_path / "lake")), imports=ImportConfig(bad_lines_limit=5, bad_lines_share=0.5))
    yield Context(config, Lake.open(config, "tests"), NOW_MS)
    assert not any((tmp_path / "lake" / "staging").rglob("*.parquet"))  # nothing staged is left, however it ended


def bring(context: Context, folder: Path) -> jobs.Outcome:
    return jobs.run(importing.job(str(folder)), context)


def own_files(folder: Path, lines: list[str], titles: str = "t1,One,Drama,0,1800\nt2,Two,,,\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "titles.csv").write_text("title_id,name,genres,released_ms,runtime_s\n" + titles)
    (folder / "interactions.csv").write_text("\n".join(["member_id,title_id,at_ms,weight", *lines]))
    return folder


def versions(context: Context) -> list[int]:
    return [context.lake.version(table) for table in (tables.TITLES, tables.PLAYS, tables.QUARANTINE)]


def test_plays_titles_and_bad_lines_arrive_once(context: Context, tmp_path: Path) -> None:
    good = [f"m{row},t{1 + row % 2},{AT_MS + row * 10**9},{row % 5}" for row in range(20)]
    folder = own_files(tmp_path / "in", [*good, good[3], f"m1,t9,{AT_MS},1", "m1,t1"])
    outcome = bring(context, folder)
    assert outcome.details == {"titles": "2", "plays": "21", "new plays": "20", "bad lines": "2"}

    rows = {row["member_id"]: row.asDict() for row in context.lake.read(tables.PLAYS).collect()}
    assert len(rows) == 20
    assert len(rows["m4"].pop("event_id")) == 32
    assert rows["m4"] == {
        "member_id": "m4", "title_id": "t1", "kind": "stop", "session_id": "import", "at_ms": AT_MS + 4 * 10**9,
        "position_s": 1800.0, "runtime_s": 1800.0, "watched_s": 1800.0, "device": "unknown", "country": "ZZ", "page_id": None,
        "row": None, "rank": None, "weight": 4.0, "source": "import", "epoch": None, "partition": None, "offset": None,
        "arrived_at_ms": AT_MS + 4 * 10**9, "month": "2023-12",
    }  # fmt: skip
    assert {row["title_id"]: row["runtime_s"] for row in context.lake.read(tables.TITLES).collect()} == {
        "t1": 1800.0,
        "t2": 5400.0,
    }
    bad = (
        context.lake.read(tables.QUARANTINE)
        .orderBy("place")
        .select("source", "place", "reason", "value", "found_at_ms")
        .collect()
    )
    file = f"{folder}/interactions.csv"
    assert [tuple(row) for row in bad] == [
        (file, "23", "title_id 't9' is not in titles.csv", b"m1,t9,%d,1" % AT_MS, NOW_MS),
        (file, "24", "has 2 values; 4 are due", b"m1,t1", NOW_MS),
    ]

    assert bring(context, folder).status == "skipped"
    again = jobs.run(importing.job(str(folder)), context, force=True)
    assert (again.status, again.details["new plays"]) == ("done", "0")
    assert context.lake.read(tables.PLAYS).count() == 20
    assert context.lake.read(tables.QUARANTINE).count() == 2

    # A changed folder is imported again: its new plays are added, its titles take the place of the old ones.
    own_files(folder, [*good, f"m99,t3,{AT_MS},1"], titles="t2,Deux,,,\nt3,Three,,,\n")
    own_files(folder, [f"m99,t3,{AT_MS},1", f"m99,t2,{AT_MS},1"], titles="t2,Deux,,,\nt3,Three,,,\n")
    assert bring(context, folder).details["new plays"] == "2"
    names = {row["title_id"]: row["name"] for row in context.lake.read(tables.TITLES).collect()}
    assert names == {"t1": "One", "t2": "Deux", "t3": "Three"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [f"m{row},t{row},{AT_MS},1" for row in range(1, 9)],
            r"6 of 8 lines cannot be used, at most 5 .*line 4: title_id 't3' is not in",
        ),
        ([f"m1,t1,{AT_MS},1", "x", "y"], r"2 of 3 lines cannot be used, at most 50.00% .*line 3: has 1 values"),
    ],
)
def test_an_import_that_is_refused_leaves_nothing(context: Context, tmp_path: Path, lines: list[str], message: str) -> None:
    before = versions(context)
    folder = own_files(tmp_path / "in", lines)
    with pytest.raises(InputError, match=message):
        bring(context, folder)
    assert versions(context) == before
    assert [row["status"] for row in context.lake.read(tables.RUNS).collect()] == ["failed"]


@pytest.mark.parametrize(
    ("lines", "titles", "message"),
    [
        (["m1,t1,1700000000,1"], "t1,One,,,\n", "interactions.csv line 2: at_ms 1700000000 looks like seconds"),
        ([], "t1,One,,,\n", "the data set is empty: no line in interactions.csv"),
        ([f"m1,t1,{AT_MS},1"], "t1,One,,,\nt1,Two,,,\n", "titles.csv line 3: title_id 't1' is already on line 2"),
    ],
)
def test_what_the_beginning_tells_is_told_before_the_job_exists(
    tmp_path: Path, lines: list[str], titles: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        importing.job(str(own_files(tmp_path / "in", lines, titles)))


def test_one_bad_file_of_several_refuses_them_all(context: Context, tmp_path: Path) -> None:
    folder = own_files(tmp_path / "in", [f"m1,t1,{AT_MS},1"])
    (folder / "interactions").mkdir()
    (folder / "interactions" / "b.csv").write_text("member_id,title_id\n")
    before = versions(context)
    with pytest.raises(InputError, match=r"interactions/b.csv: lacks the column 'at_ms'"):
        bring(context, folder)
    assert versions(context) == before


def test_many_files_of_the_simulated_world(context: Context, tmp_path: Path) -> None:
    world = World.generate(members=300, titles=150, plays=5000, days=14)
    folder = tmp_path / "world"
    (folder / "plays").mkdir(parents=True)
    pq.write_table(world.titles_table(), folder / "titles.parquet")
    for part in range(5):
        pq.write_table(world.plays_table(slice(part * 1000, (part + 1) * 1000)), folder / "plays" / f"{part}.parquet")
    assert bring(context, folder).details == {"titles": "150", "plays": "5000", "new plays": "5000", "bad lines": "0"}
    told = world.titles_table().select(["title_id", "maturity", "tags", "origin"]).to_pylist()
    titles = {row["title_id"]: row for row in context.lake.read(tables.TITLES).collect()}
    assert [{name: titles[title["title_id"]][name] for name in title} for title in told] == told
    wanted = sorted(world.plays_table().to_pylist(), key=lambda row: row["event_id"])
    columns = list(wanted[0])
    assert [row.asDict() for row in context.lake.read(tables.PLAYS).select(columns).orderBy("event_id").collect()] == wanted


@pytest.mark.skipif(not (DATA / "ml-100k").is_dir(), reason="../shared/data/ml-100k is not there")
def test_ml_100k(context: Context) -> None:
    details = bring(context, DATA / "ml-100k").details
    assert details == {"titles": "1682", "plays": "100000", "new plays": "100000", "bad lines": "0"}
    plays = context.lake.read(tables.PLAYS)
    assert plays.select("member_id").distinct().count() == 943


def test_a_lake_that_cannot_be_written(context: Context, tmp_path: Path) -> None:
    folder = own_files(tmp_path / "in", [f"m1,t1,{AT_MS},1"])
    (tmp_path / "lake" / "staging").write_text("in the way")
    with pytest.raises(UnavailableError, match=r"importing .* into the lake at .* failed: "):
        bring(context, folder)


def test_the_command_tells_a_bad_folder_without_starting_spark(tmp_path: Path) -> None:
    (tmp_path / "marquee.toml").write_text(f'[lake]\nroot = "{tmp_path}/lake"\n')
    result = CliRunner().invoke(main, ["import", str(tmp_path / "nowhere"), "--config", str(tmp_path / "marquee.toml")])
    assert result.exit_code == 2
    assert result.output == f"error: {tmp_path}/nowhere: no such folder\n"
    assert not (tmp_path / "lake").exists()
