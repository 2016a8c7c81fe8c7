"""Every layout that a user may bring, and every way in which its files can be wrong."""

import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.layouts import PLAY_SCHEMA, TITLE_SCHEMA, UNKNOWN_RUNTIME_S, BadLine, Layout, check_limits, detect, files
from offline.layouts.history import event_ids
from offline.layouts.titles import split_year
from shared.config import ImportConfig
from shared.errors import InputError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

TITLES = (
    "title_id,name,genres,released_ms,runtime_s,countries\nt1,One,Drama|War,0,1800,US|DE\nt2,Two,,,,\nt3,Three,Comedy,-5,60.5,\n"
)
AT_MS = 1_700_000_000_000


def write(folder: Path, **files_by_name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_by_name.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8", newline="")
    return folder


def interactions(folder: Path, text: str) -> Path:
    return write(folder, titles__csv=TITLES, interactions__csv="member_id,title_id,at_ms,weight\n" + text)


def read(folder: Path) -> tuple[Layout, pa.Table, pa.Table, list[BadLine]]:
    layout = detect(str(folder))
    titles = layout.titles()
    batches = list(layout.history(titles))
    events = pa.Table.from_batches([batch.events for batch in batches], PLAY_SCHEMA)
    return layout, titles, events, [bad for batch in batches for bad in batch.bad]


def play(**changes: object) -> dict[str, object]:
    event: dict[str, object] = {
        "event_id": "e1",
        "member_id": "m1",
        "title_id": "t1",
        "kind": "stop",
        "session_id": "s1",
        "at_ms": AT_MS,
        "position_s": 900.0,
        "runtime_s": 1800.0,
        "watched_s": 850.0,
        "device": "tv",
        "country": "DE",
        "page_id": "p1",
        "row": "popular",
        "rank": 3,
        "weight": None,
    }
    return event | changes


# ---- the layouts as published


@pytest.mark.skipif(not (DATA / "ml-100k").is_dir(), reason="../shared/data/ml-100k is not there")
def test_ml_100k_as_published() -> None:
    layout, titles, events, bad = read(DATA / "ml-100k")
    assert (layout.name, titles.num_rows, events.num_rows, bad) == ("ml-100k", 1682, 100_000, [])
    assert len(events["member_id"].unique()) == 943
    assert len(events["title_id"].unique()) == 1682
    assert len(events["event_id"].unique()) == 100_000
    assert titles.schema.equals(TITLE_SCHEMA)
    by_id = {title["title_id"]: title for title in titles.to_pylist()}
    assert by_id["1"]["name"] == "Toy Story"
    assert by_id["1"]["genres"] == ["Animation", "Children's", "Comedy"]
    assert by_id["1"]["released_ms"] == 788_918_400_000  # 1 January 1995
    assert by_id["267"] == dict.fromkeys(TITLE_SCHEMA.names) | {
        "title_id": "267", "name": "unknown", "genres": [], "countries": [], "runtime_s": UNKNOWN_RUNTIME_S,
    }  # fmt: skip
    assert any(title["released_ms"] is not None and title["released_ms"] < 0 for title in by_id.values())
    assert "Misérables, Les" not in {title["name"] for title in by_id.values()}
    assert "Les Misérables" in {title["name"] for title in by_id.values()}  # Latin-1, and the article moved


@pytest.mark.skipif(not (DATA / "ml-latest-small").is_dir(), reason="../shared/data/ml-latest-small is not there")
def test_ml_latest_small_as_published() -> None:
    layout, titles, events, bad = read(DATA / "ml-latest-small")
    assert (layout.name, titles.num_rows, events.num_rows) == ("ml-csv", 9742, 100_836)
    # some copies of the file end in one line about a movie that the data set does not have
    assert [line.reason for line in bad] in ([], ["movieId '999999' is not in movies.csv"])
    assert len(events["member_id"].unique()) == 610
    assert len(events["title_id"].unique()) == 9724
    assert sum(genres == [] for genres in titles["genres"].to_pylist()) == 34


def test_ml_1m_with_its_double_colons_and_latin_1(tmp_path: Path) -> None:
    movies = "1::Misérables, Les (1995)::Drama|Musical\n2::Face/Off: a: b (1997)::Action\n"
    (tmp_path / "movies.dat").write_bytes(movies.encode("latin-1"))
    write(tmp_path, ratings__dat="1::1::5::978300760\n1::2::3::978302109\n2::9::3::978302109\n2::1:4::978302109\n", users__dat="")
    layout, titles, events, bad = read(tmp_path)
    assert layout.name == "ml-1m"
    assert titles["name"].to_pylist() == ["Les Misérables", "Face/Off: a: b"]
    assert events.select(["member_id", "title_id", "weight", "at_ms"]).to_pylist() == [
        {"member_id": "1", "title_id": "1", "weight": 5.0, "at_ms": 978_300_760_000},
        {"member_id": "1", "title_id": "2", "weight": 3.0, "at_ms": 978_302_109_000},
    ]
    assert [(line.line, line.reason, line.text) for line in bad] == [
        (3, "MovieID '9' is not in movies.dat", "2::9::3::978302109"),
        (4, "has 3 values; 4 are due", "2::1:4::978302109"),
    ]


def test_ml_20m_and_an_interaction_is_a_finished_play(tmp_path: Path) -> None:
    write(
        tmp_path,
        movies__csv='movieId,title,genres\n7,"American President, The (1995)",Comedy|Drama\n8,No Year,(no genres listed)\n',
        ratings__csv="userId,movieId,rating,timestamp\n4,7,3.5,1112486027\n",
    )
    layout, titles, events, bad = read(tmp_path)
    assert (layout.name, bad) == ("ml-csv", [])
    assert titles["name"].to_pylist() == ["The American President", "No Year"]
    assert titles["genres"].to_pylist() == [["Comedy", "Drama"], []]
    assert titles["released_ms"].to_pylist() == [788_918_400_000, None]
    event = events.to_pylist()[0]
    assert re.fullmatch("[0-9a-f]{32}", event.pop("event_id"))
    assert event == {
        "member_id": "4", "title_id": "7", "kind": "stop", "session_id": "import", "at_ms": 1_112_486_027_000,
        "position_s": 5400.0, "runtime_s": 5400.0, "watched_s": 5400.0, "device": "unknown", "country": "ZZ",
        "page_id": None, "row": None, "rank": None, "weight": 3.5,
    }  # fmt: skip


def test_own_interactions_in_csv_with_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    interactions(tmp_path, f"m1,t1,{AT_MS},2.5\n")
    text = (tmp_path / "interactions.csv").read_text()
    (tmp_path / "interactions.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    _, titles, events, bad = read(tmp_path)
    assert bad == []
    assert events.select(["member_id", "runtime_s", "weight"]).to_pylist() == [
        {"member_id": "m1", "runtime_s": 1800.0, "weight": 2.5}
    ]
    assert titles.to_pylist()[1] == {
        "title_id": "t2", "name": "Two", "genres": [], "released_ms": None, "runtime_s": UNKNOWN_RUNTIME_S, "countries": [],
        "maturity": None,
    }  # fmt: skip
    assert titles["countries"].to_pylist()[0] == ["US", "DE"]


def test_own_interactions_in_parquet_of_other_types_and_in_parts(tmp_path: Path) -> None:
    titles = {
        "title_id": ["t1", "t2"],
        "name": ["A", "B"],
        "genres": [["Drama"], None],
        "released_ms": [1, None],
        "runtime_s": [60, 70],
    }
    (tmp_path / "titles.parquet").mkdir()
    pq.write_table(pa.table(titles), tmp_path / "titles.parquet" / "part-0.snappy.parquet")
    (tmp_path / "titles.parquet" / "_SUCCESS").touch()
    parts = tmp_path / "interactions"
    parts.mkdir()
    at = pa.array([AT_MS * 1000], pa.timestamp("us"))
    pq.write_table(
        pa.table({"member_id": [1], "title_id": pa.array(["t1"]).dictionary_encode(), "at_ms": at}), parts / "a.parquet"
    )
    pq.write_table(pa.table({"member_id": [2], "title_id": ["t9"], "at_ms": at, "weight": [1]}), parts / "b.parquet")
    layout, _, events, bad = read(tmp_path)
    assert [Path(file).name for file in layout.history_files] == ["a.parquet", "b.parquet"]
    assert events.select(["member_id", "at_ms", "weight"]).to_pylist() == [{"member_id": "1", "at_ms": AT_MS, "weight": None}]
    assert [(Path(line.file).name, line.line, line.reason) for line in bad] == [
        ("b.parquet", 1, "title_id 't9' is not in titles.parquet")
    ]


def test_gzipped_csv_parts(tmp_path: Path) -> None:
    write(tmp_path, titles__csv=TITLES)
    (tmp_path / "interactions").mkdir()
    for part in range(2):
        text = f"member_id,title_id,at_ms,weight\nm{part},t1,{AT_MS},1\n"
        (tmp_path / "interactions" / f"{part}.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert read(tmp_path)[2]["member_id"].to_pylist() == ["m0", "m1"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_full_play_events(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, titles__csv=TITLES)
    rows = [play(), play(event_id="e2", page_id=None, row=None, rank=None, weight=0.5)]
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows, PLAY_SCHEMA), tmp_path / "plays.parquet")
    else:
        lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
        write(tmp_path, plays__csv="\n".join([",".join(rows[0]), *lines]))
    layout, _, events, bad = read(tmp_path)
    assert (layout.name, bad) == ("plays", [])
    assert events.to_pylist() == rows


@pytest.mark.parametrize(
    ("published", "name", "year"),
    [
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("Lost Children, The (Enfants perdus, Les) (1995)", "The Lost Children (Enfants perdus, Les)", 1995),
        ("Avventura, L' (1960)", "L'Avventura", 1960),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        ("2001: A Space Odyssey", "2001: A Space Odyssey", None),
        ("Dad, the (9999)", "Dad, the (9999)", None),
    ],
)  # fmt: skip
def test_years_and_articles(published: str, name: str, year: int | None) -> None:
    got, released_ms = split_year(published)
    assert got == name
    expected = None if year is None else int(np.datetime64(f"{year}-01-01", "ms").astype(np.int64))
    assert released_ms == expected


# ---- what is wrong with a line


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("m1,t9,{at},1", "title_id 't9' is not in titles.csv"),
        (",t1,{at},1", "member_id is empty"),
        ("m1,,{at},1", "title_id is empty"),
        ("m1,t1,,1", "at_ms '' is not a whole number"),
        ("m1,t1,soon,1", "at_ms 'soon' is not a whole number"),
        ("m1,t1,1700000000,1", "at_ms 1700000000 looks like seconds; milliseconds are due"),
        ("m1,t1,-1,1", "at_ms -1 is no Unix time in milliseconds"),
        ("m1,t1,99999999999999999999,1", "at_ms '99999999999999999999' is not a whole number"),
        ("m1,t1,{at},nan", "weight is not a number (NaN)"),
        ("m1,t1,{at},-2", "weight -2 is negative"),
        ("m1,t1,{at},inf", "weight inf is not a finite number"),
        ("m1,t1,{at},", "weight '' is not a number"),
        ("m1,t1,{at},good", "weight 'good' is not a number"),
        ("m1,t1", "has 2 values; 4 are due"),
        ("m1,t1,{at},1,1", "has 5 values; 4 are due"),
        ('"m1,t1,{at},1', "has 1 values; 4 are due"),
        ("m" * 257 + ",t1,{at},1", "member_id has 257 characters; at most 256 are due"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_kept(tmp_path: Path, line: str, reason: str) -> None:
    line = line.format(at=AT_MS)
    interactions(tmp_path, f"m1,t1,{AT_MS},1\n{line}\n\nm3,t1,{AT_MS},1\n")
    _, _, events, bad = read(tmp_path)
    assert bad == [BadLine(f"{tmp_path}/interactions.csv", 3, reason, line)]
    assert events["member_id"].to_pylist() == ["m1", "m3"]


def test_a_line_that_is_not_utf_8(tmp_path: Path) -> None:
    interactions(tmp_path, f"m1,t1,{AT_MS},1\n")
    with (tmp_path / "interactions.csv").open("ab") as stream:
        stream.write(b"m\xff,t1,%d,1\nm\xc3\xa9,t1,%d,1\n" % (AT_MS, AT_MS))
    _, _, events, bad = read(tmp_path)
    assert [(line.line, line.reason) for line in bad] == [(3, "is not UTF-8")]
    assert events["member_id"].to_pylist() == ["m1", "mé"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "pause"}, "kind 'pause' is none of start, progress, stop"),
        ({"event_id": ""}, "event_id is empty"),
        ({"session_id": None}, "session_id None is not text"),
        ({"runtime_s": 0.0}, "runtime_s is 0; a title's running time is positive"),
        ({"position_s": -1.0}, "position_s -1 is negative"),
        ({"watched_s": float("nan")}, "watched_s is not a number (NaN)"),
        ({"watched_s": 1e9}, "watched_s 1e+09 is more than 1e+07"),
        ({"weight": -1.0}, "weight -1 is negative"),
        ({"title_id": "t9"}, "title_id 't9' is not in titles.csv"),
    ],
)
def test_a_bad_play_event(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    write(tmp_path, titles__csv=TITLES)
    pq.write_table(pa.Table.from_pylist([play(), play(**changes)], PLAY_SCHEMA), tmp_path / "plays.parquet")
    _, _, events, bad = read(tmp_path)
    assert [(line.line, line.reason) for line in bad] == [(2, reason)]
    assert '"device": "tv"' in bad[0].text
    assert events.num_rows == 1


def test_line_numbers_hold_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(files, "_SLOW_LINES", 4)
    lines = [f"m{row},t1,{AT_MS + row},1" for row in range(500)]
    for row in (0, 77, 250, 251, 499):
        lines[row] = "broken"
    interactions(tmp_path, "\n".join(lines))
    _, _, events, bad = read(tmp_path)
    assert [line.line for line in bad] == [2, 79, 252, 253, 501]
    assert events["member_id"].to_pylist() == [line.split(",")[0] for line in lines if line != "broken"]


@given(
    st.lists(
        st.sampled_from(["a,b,c", "a,b", "", '"a",b,c', '"a,b,c', 'a"b,"c""d",e', "é,ü,ß", "a,b,c,d", ' "a",b,c']), min_size=1
    )
)
def test_the_fast_parser_equals_the_slow_one(lines: list[str]) -> None:
    block = "\n".join([*lines, ""]).encode()
    names = ("x", "y", "z")
    arguments = ("f.csv", block, 5, files.TextFormat(), names, ["z", "x"])
    slow = files._parse_slow(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_SLOW_LINES", 1)
        chunks = list(files._parse(*arguments))
    assert [line for chunk in chunks for line in chunk.lines.tolist()] == slow.lines.tolist()
    assert [bad for chunk in chunks for bad in chunk.bad] == slow.bad
    for name in ("x", "z"):
        assert [value for chunk in chunks for value in chunk.columns[name].to_pylist()] == slow.columns[name].to_pylist()
    texts = [chunk.text(row) for chunk in chunks for row in range(len(chunk.lines))]
    assert texts == [slow.text(row) for row in range(len(slow.lines))]


# ---- what is wrong with a folder or a whole file


def expect(folder: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(folder)


def test_a_missing_folder(tmp_path: Path) -> None:
    expect(tmp_path / "nowhere", "nowhere: no such folder")
    write(tmp_path, file__csv="")
    expect(tmp_path / "file.csv", "is a file; a folder is expected")


def test_an_unknown_layout_says_what_was_found_and_expected(tmp_path: Path) -> None:
    expect(tmp_path, "no known layout; found nothing; expected u.item and u.data")
    write(tmp_path, u__data="", readme__txt="", titles__csv=TITLES)
    expect(tmp_path, "found readme.txt, titles.csv, u.data; expected .*titles.* with plays")


def test_two_layouts_at_once(tmp_path: Path) -> None:
    interactions(tmp_path, f"m1,t1,{AT_MS},1")
    write(tmp_path, plays__csv="")
    expect(tmp_path, "holds interactions and plays at once")


def test_csv_and_parquet_of_one_data_set(tmp_path: Path) -> None:
    interactions(tmp_path, f"m1,t1,{AT_MS},1")
    (tmp_path / "titles.parquet").touch()
    expect(tmp_path, "holds titles both as CSV and as Parquet")


def test_an_empty_data_set(tmp_path: Path) -> None:
    interactions(tmp_path, "")
    expect(tmp_path, "the data set is empty: no line in interactions.csv")
    write(tmp_path, titles__csv=TITLES.splitlines()[0])
    expect(tmp_path, "the data set is empty: no title in it")


def test_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path, titles__csv=TITLES, interactions__csv="member_id,title,at_ms\n")
    expect(tmp_path, r"interactions.csv: lacks the column 'title_id'; expected .*, found member_id, title, at_ms")
    write(tmp_path, titles__csv="title_id,name,name,genres,released_ms,runtime_s\n")
    expect(tmp_path, "titles.csv: names the column 'name' twice")


def test_seconds_throughout_stop_at_once(tmp_path: Path) -> None:
    interactions(tmp_path, "m1,t1,1700000000,1\nm1,t2,1700000001,1\n")
    expect(tmp_path, "interactions.csv line 2: at_ms 1700000000 looks like seconds; milliseconds are due")


def test_duplicate_titles_name_both_lines(tmp_path: Path) -> None:
    write(tmp_path, titles__csv=TITLES + "t4,Four,,,\nt1,Again,,,,\n", interactions__csv="")
    expect(tmp_path, "titles.csv line 5: has 5 values; 6 are due")
    write(tmp_path, titles__csv=TITLES + "t1,Again,,,,\n")
    expect(tmp_path, "titles.csv line 5: title_id 't1' is already on line 2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",A,,,,", "title_id is empty"),
        ("t4,A,,,0,", "runtime_s is 0; seconds above 0"),
        ("t4,A,,,long,", "runtime_s 'long' is not a number"),
        ("t4,A,,1.5,60,", "released_ms '1.5' is not a number"),
        ("t4,A,,1e18,60,", "released_ms is 1000000000000000000; Unix milliseconds"),
    ],
)
def test_a_bad_title(tmp_path: Path, line: str, message: str) -> None:
    interactions(tmp_path, f"m1,t1,{AT_MS},1")
    write(tmp_path, titles__csv=TITLES + line)
    expect(tmp_path, f"titles.csv line 5: {message}")


def test_bad_movielens_titles(tmp_path: Path) -> None:
    write(tmp_path, u__item="1|A (1990)|01-Foo-1990||" + "|0" * 19, u__data="")
    expect(tmp_path, "u.item line 1: release date '01-Foo-1990' is not like 01-Jan-1995")
    write(tmp_path, u__item="1|A\n")
    expect(tmp_path, "u.item line 1: has 2 values; 24 are due")


def test_files_that_are_not_what_their_names_say(tmp_path: Path) -> None:
    write(tmp_path, titles__csv=TITLES)
    (tmp_path / "interactions.parquet").write_bytes(b"member_id,title_id\n")
    expect(tmp_path, "interactions.parquet: is not a whole Parquet file")
    (tmp_path / "interactions.parquet").unlink()
    (tmp_path / "interactions.csv.gz").write_bytes(gzip.compress(b"member_id,title_id,at_ms\n" * 1000)[:50])
    expect(tmp_path, "interactions.csv.gz: cannot be read")
    (tmp_path / "interactions.csv.gz").unlink()
    (tmp_path / "interactions.csv").write_bytes(b"\0" * (files.LINE_BYTES + 10))
    expect(tmp_path, "interactions.csv line 1: is longer than")


def test_a_parquet_column_of_a_hopeless_type(tmp_path: Path) -> None:
    write(tmp_path, titles__csv=TITLES)
    pq.write_table(pa.table({"member_id": [["m"]], "title_id": ["t1"], "at_ms": [AT_MS]}), tmp_path / "interactions.parquet")
    expect(tmp_path, "column 'member_id' is of type list<.*>; text is expected")


# ---- ids and limits


def test_event_ids_depend_on_content_alone() -> None:
    members = pa.array(["a", "b", "a", "a"])
    titles = pa.array(["x", "x", "y", "x"])
    at_ms = np.array([1, 1, 1, 2], dtype=np.int64)
    ids = event_ids(members, titles, at_ms).to_pylist()
    assert len(set(ids)) == 4
    assert event_ids(members[::-1], titles[::-1], at_ms[::-1]).to_pylist() == ids[::-1]
    assert event_ids(titles, members, at_ms).to_pylist() != ids
    assert event_ids(pa.array(["a"]), pa.array(["x"]), np.array([1])).to_pylist() == ["43ea9cf0f224e8caff4919b167c837f4"]


def test_event_ids_do_not_collide_in_a_grid() -> None:
    members, titles, at_ms = (part.ravel() for part in np.meshgrid(np.arange(60), np.arange(60), np.arange(60)))
    ids = event_ids(pa.array(members.astype(str)), pa.array(titles.astype(str)), at_ms)
    assert len(ids.unique()) == 60**3
    assert len({text[:16] for text in ids.to_pylist()}) == len({text[16:] for text in ids.to_pylist()}) == 60**3


def test_limits() -> None:
    limits = ImportConfig(bad_lines_limit=10, bad_lines_share=0.1)
    bad = [BadLine("f.csv", line, "is odd", "") for line in range(1, 6)]
    check_limits(10, 100, limits, bad)
    check_limits(5, 6, limits, bad, finished=False)
    with pytest.raises(
        InputError, match=r"11 of 1000 lines cannot be used, at most 10 .*f.csv line 1: is odd; .*line 3: is odd$"
    ):
        check_limits(11, 1000, limits, bad, finished=False)
    with pytest.raises(InputError, match=r"5 of 49 lines cannot be used, at most 10.00% .*bad_lines_share"):
        check_limits(5, 49, limits, bad)
