from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from offline.interaction_files import read_interactions
from offline.interactions import InteractionRows, Interactions, id_array, index_of
from shared.errors import InputError
from tests.builders import random_interactions


def test_duplicates_keep_the_greatest_weight_and_the_latest_time() -> None:
    world = Interactions.from_columns(
        ["b", "a", "b", "b"], ["y", "x", "x", "y"], weight=[3, 1, 2, 1], at_ms=[10, 20, 30, 40], country=["US", None, None, "DE"]
    )
    assert world.member_ids.tolist() == ["a", "b"]
    assert world.title_ids.tolist() == ["x", "y"]
    np.testing.assert_array_equal(world.matrix.toarray(), [[1, 0], [2, 3]])
    assert world.at_ms is not None
    assert world.at_ms.tolist() == [20, 30, 40]
    assert world.country is not None
    assert world.country.tolist() == [None, "DE"]


def test_order_of_the_rows_does_not_matter() -> None:
    random = np.random.default_rng(0)
    members, titles = random.integers(20, size=200).astype(str), random.integers(15, size=200).astype(str)
    weight, at_ms = random.random(200), random.integers(1000, size=200)
    order = random.permutation(200)
    one = Interactions.from_columns(members, titles, weight, at_ms)
    other = Interactions.from_columns(members[order], titles[order], weight[order], at_ms[order])
    assert one.member_ids.tolist() == other.member_ids.tolist()
    np.testing.assert_array_equal(one.matrix.toarray(), other.matrix.toarray())
    np.testing.assert_array_equal(one.at_ms, other.at_ms)


def test_zero_weight_stays_stored() -> None:
    assert Interactions.from_columns(["a"], ["x"], weight=[0]).matrix.nnz == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"weight": [1.0, float("nan")]}, "row 2: weight is nan; expected a number of 0 or more"),
        ({"weight": [-1.0, 1.0]}, "row 1: weight is -1.0; expected a number of 0 or more"),
        ({"weight": [1.0, float("inf")]}, "row 2: weight is inf"),
        ({"weight": [1.0]}, "weight has 1 rows where member_ids has 2"),
        ({"weight": ["a", "b"]}, "weight cannot be read as numbers"),
        ({"at_ms": [5, -1]}, "row 2: at_ms is -1; expected 0 or more"),
        ({"at_ms": [5.0, float("nan")]}, "row 2: at_ms is nan"),
        ({"member_ids": ["a", None]}, "row 2: member_id is missing; expected an id"),
        ({"title_ids": ["", "x"]}, "row 1: title_id is missing; expected an id"),
        ({"member_ids": [], "title_ids": []}, "there are no rows"),
    ],
)
def test_bad_columns_are_refused_by_row(columns: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Interactions.from_columns(**{"member_ids": ["a", "b"], "title_ids": ["x", "y"], **columns})


def test_select_gives_rows_in_order_and_empty_ones_for_unknown_members() -> None:
    world = random_interactions()
    chosen = world.select(np.array([5, -1, 0]))
    expected = world.matrix.toarray()
    np.testing.assert_array_equal(chosen.matrix.toarray(), [expected[5], np.zeros(30), expected[0]])
    assert chosen.member_ids.tolist() == ["m005", None, "m000"]
    assert world.at_ms is not None
    assert chosen.at_ms is not None
    start, stop = world.matrix.indptr[5:7]
    assert chosen.at_ms[: stop - start].tolist() == world.at_ms[start:stop].tolist()


def test_on_titles_reorders_and_drops() -> None:
    world = Interactions.from_columns(["a", "a", "b"], ["x", "y", "z"], weight=[1, 2, 3], at_ms=[1, 2, 3])
    other = world.on_titles(id_array(["z", "w", "x"]))
    np.testing.assert_array_equal(other.matrix.toarray(), [[0, 0, 1], [3, 0, 0]])
    assert other.at_ms is not None
    assert other.at_ms.tolist() == [1, 3]


def test_merge_keeps_the_greater_weight_and_the_later_time() -> None:
    titles = id_array(["x", "y"])
    one = Interactions.from_columns(["a", "b"], ["x", "y"], weight=[1, 5], at_ms=[1, 9]).on_titles(titles)
    two = Interactions.from_columns(["a", "a", "b"], ["x", "y", "y"], weight=[2, 3, 4], at_ms=[7, 8, 2]).on_titles(titles)
    merged = one.merged_with(two)
    np.testing.assert_array_equal(merged.matrix.toarray(), [[2, 3], [0, 5]])
    assert merged.at_ms is not None
    assert merged.at_ms.tolist() == [7, 8, 9]


def test_index_of() -> None:
    assert index_of(id_array(["b", "q", "a"]), id_array(["a", "b"])).tolist() == [1, -1, 0]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_files_are_read_alike(tmp_path: Path, kind: str) -> None:
    table = pa.table({"member_id": ["1", "02"], "title_id": ["x", "y"], "at_ms": [5, 6], "weight": [0.5, 2.0]})
    path = tmp_path / f"plays.{kind}"
    if kind == "parquet":
        pa.parquet.write_table(table, path)
    else:
        with pa.CompressedOutputStream(path, "gzip") if kind.endswith("gz") else pa.OSFile(str(path), "wb") as file:
            pa.csv.write_csv(table, file)
    world = Interactions.from_rows(read_interactions(path))
    assert world.member_ids.tolist() == ["02", "1"]
    np.testing.assert_array_equal(world.matrix.toarray(), [[0, 2], [0.5, 0]])
    assert world.at_ms is not None
    assert world.at_ms.tolist() == [6, 5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("plays.csv", "member_id,film\n1,2\n", "no column 'title_id'"),
        ("plays.csv", "member_id,title_id,at_ms\n1,2,3\n1,2,soon\n", "soon"),
        ("plays.csv", "member_id,title_id\n1,2\n1,2,3\n", "cannot be read"),
        ("plays.csv", "", "cannot be read"),
        ("plays.csv", "member_id,title_id\n", "there are no rows"),
        ("plays.csv", "member_id,title_id,weight\n1,2,3\n1,2,-4\n", "row 2: weight is -4"),
        ("plays.csv", "member_id,title_id,weight\n1,2,\n", "row 1: weight is missing"),
        ("plays.txt", "", "unknown kind of file '.txt'"),
        ("plays.parquet", "not parquet", "cannot be read"),
        ("plays.csv.gz", "not gzip", "cannot be read"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_interactions(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_interactions(tmp_path / "plays.csv")


def test_rows_where() -> None:
    rows = InteractionRows(["a", "b", "c"], ["x", "y", "z"], at_ms=np.array([1, 2, 3]))
    kept = rows.where(np.array([True, False, True]))
    assert kept.member_ids.to_pylist() == ["a", "c"]
    assert kept.at_ms is not None
    assert kept.at_ms.tolist() == [1, 3]
