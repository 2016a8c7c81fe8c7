"""What is wrong with a line, a file or a folder that a user brings: named, and the rest kept or nothing taken."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.layouts import PLAY_SCHEMA, BadLine, files
from shared.errors import InputError
from tests.offline.layout_files import AT_MS, TITLES, interactions, play, read, write


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


def test_an_origin_that_is_no_country_code(tmp_path: Path) -> None:
    write(tmp_path, titles__csv="title_id,name,genres,released_ms,runtime_s,origin\nt1,One,,,,Denmark\n")
    write(tmp_path, interactions__csv=f"member_id,title_id,at_ms,weight\nm1,t1,{AT_MS},1\n")
    with pytest.raises(InputError, match=r"line 2: origin 'Denmark' is not a country's code of two letters such as DK"):
        read(tmp_path)


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
