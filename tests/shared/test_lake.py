"""The lake's root means the same everywhere, and what Spark raises is told in one line."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from shared import tables
from shared.config import SparkConfig
from shared.errors import ConfigError, InputError, UnavailableError
from shared.lake import Lake, absolute_root, get_folder, put_folder, schema, session, usable
from tests.conftest import QUICK_JVM


def test_a_folder_has_one_root_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    written = ("the lake", "./the lake/", f"{tmp_path}/the lake", f"file://{tmp_path}/the lake/", f"file:{tmp_path}/the lake")
    assert {absolute_root(root) for root in (*written, "file:the lake", "~/the lake")} == {f"file://{tmp_path}/the lake"}
    assert absolute_root("hdfs://name-node:8020/lake/") == "hdfs://name-node:8020/lake"


@pytest.mark.parametrize(
    ("root", "message"),
    [
        (" ", "root is empty; a folder or a URL such as s3a://bucket/lake is expected"),
        ("nowhere://x/lake", "'nowhere://x/lake' is a URL that cannot be read here: Protocol not known: nowhere"),
        ("file://host/lake", "names a host; a folder is written file:///folder"),
    ],
)
def test_a_root_that_cannot_be(root: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        absolute_root(root)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake by a relative path, with none of its tables."""
    monkeypatch.chdir(tmp_path)
    config = SparkConfig(master="local[2]", shuffle_partitions=2, settings={"spark.driver.extraJavaOptions": QUICK_JVM})
    return Lake(session(config, "tests", absolute_root("lake")), "lake")


def raising(kind: type[Exception], lake: Lake) -> None:
    """Raise an error in a task."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        raise kind("member 'm1': so\nand so")

    lake.spark.range(1).mapInArrow(run, "id LONG").collect()


@pytest.mark.slow
def test_a_relative_root_is_one_place_for_driver_and_tasks(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = lake.url("models/m")

    def save(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        before = Path.cwd()
        os.chdir("/")
        try:
            (tmp_path / "made").mkdir()
            (tmp_path / "made" / "weights").write_bytes(b"123")
            put_folder(tmp_path / "made", url)
        finally:
            os.chdir(before)
        yield from batches

    lake.overwrite(lake.rows([{"title_id": "t1", "name": "One"}], tables.TITLES), tables.TITLES)
    lake.spark.range(1, numPartitions=1).mapInArrow(save, "id LONG").collect()

    monkeypatch.chdir("/")
    same = Lake(lake.spark, f"file://{tmp_path}/lake")
    assert [row["name"] for row in same.read(tables.TITLES).collect()] == ["One"]
    fetched = get_folder(same.url("models/m"))
    try:
        assert (fetched / "weights").read_bytes() == b"123"
    finally:
        shutil.rmtree(fetched)


@pytest.mark.slow
def test_a_table_of_an_older_version_reads_with_empty_columns_until_it_is_written_again(lake: Lake) -> None:
    older = "title_id STRING, name STRING"
    lake.spark.sql(f"CREATE TABLE delta.`{lake.path(tables.TITLES)}` ({older}) USING delta")
    lake.spark.sql(f"INSERT INTO delta.`{lake.path(tables.TITLES)}` VALUES ('t1', 'One')")
    row = lake.read(tables.TITLES).collect()[0]
    assert row.asDict() == dict.fromkeys(field.name for field in schema(tables.TITLES)) | {"title_id": "t1", "name": "One"}
    new = lake.rows([{"title_id": "t2", "name": "Two", "tags": ["Tense"], "origin": "DK"}], tables.TITLES)
    lake.overwrite(lake.read(tables.TITLES).unionByName(new), tables.TITLES)
    told = {row["title_id"]: (row["tags"], row["origin"]) for row in lake.read(tables.TITLES).collect()}
    assert told == {"t1": (None, None), "t2": (["Tense"], "DK")}


@pytest.mark.slow
def test_what_fails_in_spark_is_one_line(lake: Lake) -> None:
    with pytest.raises(UnavailableError, match=r"^it failed: member 'm1': so$"), usable("it failed"):
        raising(InputError, lake)
    with pytest.raises(UnavailableError, match=r"^it failed: ValueError: member 'm1': so$"), usable("it failed"):
        raising(ValueError, lake)
    with (
        pytest.raises(UnavailableError, match=r"^it failed: \[PATH_NOT_FOUND\] Path does not exist: .*/nowhere"),
        usable("it failed"),
    ):
        lake.spark.read.parquet(lake.url("nowhere")).collect()


@pytest.mark.slow
def test_a_root_that_hadoop_does_not_know(lake: Lake) -> None:
    with pytest.raises(UnavailableError, match=r'^the lake at memory://x cannot be used: .*No FileSystem for scheme "memory"$'):
        Lake(lake.spark, "memory://x").create_tables()
