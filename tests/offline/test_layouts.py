"""Every layout that a user may bring, and every way in which its files can be wrong."""

import gzip
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from offline.layouts import PLAY_SCHEMA, TITLE_SCHEMA, UNKNOWN_RUNTIME_S, BadLine, check_limits
from offline.layouts.history import event_ids
from offline.layouts.titles import split_year
from shared.config import ImportConfig
from shared.errors import InputError
from tests.offline.layout_files import AT_MS, DATA, TITLES, interactions, play, read, write


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
        "title_id": "267", "name": "unknown", "genres": [], "countries": [], "tags": [],
        "runtime_s": UNKNOWN_RUNTIME_S,
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
        "maturity": None, "tags": [], "origin": None,
    }  # fmt: skip
    assert titles["countries"].to_pylist()[0] == ["US", "DE"]


def test_what_a_catalogue_may_tell_of_its_titles_besides(tmp_path: Path) -> None:
    columns = "title_id,name,genres,released_ms,runtime_s,origin,tags,maturity\n"
    write(tmp_path, titles__csv=columns + "t1,One,Drama,0,1800,dk,Tense| Dark ||Tense,PG\nt2,Two,,,,,,\n")
    write(tmp_path, interactions__csv=f"member_id,title_id,at_ms,weight\nm1,t1,{AT_MS},1\n")
    _, titles, _, _ = read(tmp_path)
    assert titles.select(["tags", "origin", "maturity"]).to_pylist() == [
        {"tags": ["Tense", "Dark"], "origin": "DK", "maturity": "PG"},
        {"tags": [], "origin": None, "maturity": None},
    ]


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
