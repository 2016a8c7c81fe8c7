"""Spark session and Delta access: the one place that imports pyspark outside the jobs' own expressions.

A `Lake` is a root (a local folder, or any Hadoop or fsspec URL) and a Spark session. It reads any version of any table of
`shared.tables`, and writes in four ways: `append` with a transaction id, `insert_new`, `overwrite`, and folders of files
(`put_folder`, `get_folder`: models). Each write is one Delta commit: it is there as a whole or not at all.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import fsspec
import pyarrow as pa
from delta.tables import DeltaTable
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StringType, StructType

from shared.config import Config, SparkConfig
from shared.errors import ConfigError, InputError, UnavailableError
from shared.jars import spark_jars
from shared.java import find_java
from shared.tables import ALL, Table

TABLES_AT_A_TIME = 4

T = TypeVar("T")
ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]
"""What `DataFrame.mapInArrow` runs in a task: batches in, batches out."""

_DELTA_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
_SESSION_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
}
_LOCAL_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
_COMPARED = (NumericType, StringType)
"""Types of columns that Delta keeps the smallest and greatest value of, for skipping files."""
_NEW_COLUMNS = ("mergeSchema", "true")
"""Lets a table that an older version made gain the columns that this one writes; its earlier rows are null there."""
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_LOGGING = Path(__file__).with_name("log4j2.properties")
"""How Spark logs in a process of its own: what goes wrong is told by the command, in one sentence."""


def is_submitted() -> bool:
    """Whether spark-submit started this process; then master, memory and jars are the submitter's to say."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def session(config: SparkConfig, app: str, root: str) -> SparkSession:
    """The Spark session of this process, started when there is none.

    Parameters
    ----------
    root : the lake's. Spark makes a folder for its default database there, not wherever the process was started.

    Raises
    ------
    UnavailableError : Java or a jar is missing, or Spark does not start.
    """
    builder: Any = SparkSession.builder.appName(f"marquee {app}").config("spark.sql.warehouse.dir", f"{root}/.warehouse")
    level = config.log_level or ("ERROR" if is_submitted() else "FATAL")
    settings = dict(config.settings)
    for name, value in (_DELTA_SETTINGS | _SESSION_SETTINGS).items():
        builder = builder.config(name, value)
    if not is_submitted():
        os.environ["JAVA_HOME"] = str(find_java().parent.parent)
        # Only spark-submit reads spark.pyspark.python; a session started from Python takes its workers' from here.
        os.environ["PYSPARK_PYTHON"] = sys.executable
        builder = (
            builder.master(config.master)
            .config("spark.driver.memory", config.driver_memory)
            .config("spark.sql.shuffle.partitions", str(config.shuffle_partitions))
            .config("spark.jars", ",".join(str(jar) for jar in spark_jars()))
        )
        if config.master.startswith("local"):
            for name, value in _LOCAL_SETTINGS.items():
                builder = builder.config(name, value)
            options = f"-Dlog4j2.configurationFile={_LOGGING.as_uri()} -Dmarquee.spark.logLevel={level}"
            settings[_JAVA_OPTIONS] = f"{options} {settings.get(_JAVA_OPTIONS, '')}".rstrip()
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        spark: SparkSession = builder.getOrCreate()
    except Exception as error:  # py4j and pyspark raise several kinds, none of them documented
        raise UnavailableError(f"Spark at {config.master} did not start: {root_cause(error)}") from error
    spark.sparkContext.setLogLevel(level)
    return spark


def root_cause(error: BaseException) -> str:
    """The one line of a Spark error that says what went wrong: ours if it is one of ours, else the innermost exception's."""
    text = str(error)
    for pattern in (r"shared\.errors\.\w+: (.+)", r"^(?:: |Caused by: )?(?:[\w$]+\.)*(\w+(?:Error|Exception): .+)"):
        if found := re.findall(pattern, text, re.MULTILINE):
            return str(found[-1]).strip()
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


@contextmanager
def usable(what: str) -> Iterator[None]:
    """Turn an error of Spark's into one `UnavailableError`: what failed, and the one line that says why."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise UnavailableError(f"{what}: {root_cause(error)}") from error


def absolute_root(root: str) -> str:
    """The lake's root as a URL that means the same on every node; a plain path is a local folder.

    Raises
    ------
    ConfigError : it is empty, or a URL whose scheme nothing here can read.
    """
    if not root.strip():
        raise ConfigError("[lake] root is empty; a folder or a URL such as s3a://bucket/lake is expected")
    scheme, colon, rest = root.partition(":")
    if scheme == "file" and colon:
        if rest.startswith("//") and not rest.startswith("///"):
            raise ConfigError(f"[lake] root {root!r} names a host; a folder is written file:///folder")
        root = f"/{rest.lstrip('/')}" if rest.startswith("/") else rest
    elif rest.startswith("//"):
        try:
            fsspec.get_filesystem_class(scheme)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"[lake] root {root!r} is a URL that cannot be read here: {error}") from None
        return root.rstrip("/")
    return f"file://{Path(root).expanduser().resolve()}"


class Lake:
    """All Delta tables and model folders below one root."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = absolute_root(root)

    @classmethod
    def open(cls, config: Config, app: str) -> "Lake":
        """Start or reuse Spark, and create the tables that are not there yet."""
        root = absolute_root(config.lake.root)  # a mistake in it is told before Spark starts
        lake = cls(session(config.spark, app, root), root)
        lake.create_tables()
        return lake

    def path(self, table: Table) -> str:
        """The folder of a table."""
        return f"{self.root}/{table.name}"

    def create_tables(self) -> None:
        """Create every table that is missing, empty and with its columns.

        Raises
        ------
        UnavailableError : the root cannot be written.
        """
        for table in ALL:
            try:
                if DeltaTable.isDeltaTable(self.spark, self.path(table)):
                    continue
                partitions = f" PARTITIONED BY ({', '.join(table.partition_by)})" if table.partition_by else ""
                self.spark.sql(
                    f"CREATE TABLE delta.`{self.path(table)}` ({table.columns}) USING delta{partitions}{_statistics(table)}"
                )
            except Exception as error:  # py4j wraps what the file system raised
                raise UnavailableError(f"the lake at {self.root} cannot be used: {root_cause(error)}") from error

    def version(self, table: Table) -> int:
        """The newest version of a table; 0 is the empty one that `create_tables` made.

        Each commit is one numbered file of the table's log (Delta's protocol, "Delta log entries"), so that a listing tells,
        where asking Spark takes a job.
        """
        filesystem, path = fsspec.core.url_to_fs(self.path(table))
        names = (entry.rpartition("/")[2] for entry in filesystem.ls(f"{path}/_delta_log", detail=False))
        return max(int(name.removesuffix(".json")) for name in names if name.endswith(".json") and name[:-5].isdigit())

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """A table, or an earlier version of it (time travel); a column that an older Marquee did not write is null.

        Raises
        ------
        InputError : there is no such version.
        """
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        try:
            frame = reader.load(self.path(table))
            there = set(frame.columns)  # resolves the version now, so that the error names it
        except AnalysisException as error:
            raise InputError(f"{table.name} version {version}: {root_cause(error)}") from error
        missing = {field.name: F.lit(None).cast(field.dataType) for field in schema(table) if field.name not in there}
        return frame.withColumns(missing) if missing else frame

    def rows(self, rows: list[dict[str, Any]], table: Table) -> DataFrame:
        """A few rows made on the driver, with the table's columns; keys that are left out are null."""
        columns = schema(table)
        return self.spark.createDataFrame([tuple(row.get(field.name) for field in columns) for row in rows], columns)

    def append(self, frame: DataFrame, table: Table, transaction: tuple[str, int] | None = None) -> None:
        """Add rows. With a transaction (application id, growing number), repeating it adds nothing."""
        writer = _conform(frame, table).write.format("delta").mode("append").option(*_NEW_COLUMNS)
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        writer.save(self.path(table))

    def insert_new(self, frame: DataFrame, table: Table) -> None:
        """Add the rows whose key is not there yet; of rows with one key, one. Repeating it adds nothing.

        For tables with `at_ms`, only files whose times overlap the new rows' are looked at.
        """
        rows = _conform(frame, table)
        condition = [f"there.{column} = new.{column}" for column in table.key]
        bounds = [F.collect_set(column).alias(column) for column in table.partition_by]
        if "at_ms" in rows.columns:
            bounds += [F.min("at_ms").alias("first_ms"), F.max("at_ms").alias("last_ms")]
        counts = (F.count(F.lit(1)).alias("rows"), F.count_distinct(*table.key).alias("keys"))
        found = rows.agg(*counts, *bounds).collect()[0]
        if not found["rows"]:
            return
        if found["keys"] < found["rows"]:  # dropping sorts whole rows, which is worth a look first
            rows = rows.dropDuplicates(list(table.key))
        if "at_ms" in rows.columns:
            condition.append(f"there.at_ms BETWEEN {found['first_ms']} AND {found['last_ms']}")
        for column in table.partition_by:
            condition.append(f"there.{column} IN ({', '.join(repr(value) for value in found[column])})")
        (
            DeltaTable.forPath(self.spark, self.path(table))
            .alias("there")
            .merge(rows.alias("new"), " AND ".join(condition))
            .whenNotMatchedInsertAll()
            .execute()
        )

    def overwrite(self, frame: DataFrame, table: Table) -> int:
        """Replace a table's rows in one commit; earlier versions stay readable. Returns the new version."""
        _conform(frame, table).write.format("delta").mode("overwrite").option(*_NEW_COLUMNS).save(self.path(table))
        return self.version(table)

    def delete(self, table: Table, condition: Column) -> int:
        """Remove rows in one commit; how many. Earlier versions, and their files, keep them until `vacuum`."""
        before = self.version(table)
        DeltaTable.forPath(self.spark, self.path(table)).delete(condition)
        after = self.version(table)
        if after == before:
            return 0
        filesystem, path = fsspec.core.url_to_fs(self.path(table))
        actions = [json.loads(line) for line in filesystem.cat_file(f"{path}/_delta_log/{after:020}.json").splitlines()]
        return sum(
            int(action["commitInfo"]["operationMetrics"]["numDeletedRows"]) for action in actions if "commitInfo" in action
        )

    def vacuum(self, tables: Sequence[Table]) -> None:
        """Remove every file that the newest versions do not need, however young; earlier versions can no longer be read.

        Delta keeps such files for a week by default, for readers of earlier versions and because a job at work has written
        files that no version names yet. So nothing else may write the tables meanwhile.
        """
        tasks = str(2 * self.spark.sparkContext.defaultParallelism)  # or 10,000 for each table, however few its files
        with (
            self.setting("spark.databricks.delta.retentionDurationCheck.enabled", "false"),
            self.setting("spark.sql.sources.parallelPartitionDiscovery.parallelism", tasks),
        ):
            self.each(tables, lambda table: self.spark.sql(f"VACUUM delta.`{self.path(table)}` RETAIN 0 HOURS"))

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Set one of Spark's settings for a while, for all that this session does meanwhile."""
        before = self.spark.conf.get(name, None)
        self.spark.conf.set(name, value)
        try:
            yield
        finally:
            if before is None:
                self.spark.conf.unset(name)
            else:
                self.spark.conf.set(name, before)

    def each(self, tables: Sequence[Table], do: Callable[[Table], T]) -> list[T]:
        """Do something with some tables, a few at a time: most of it is waiting for files."""
        with ThreadPoolExecutor(TABLES_AT_A_TIME) as pool:
            return list(pool.map(do, tables))

    def url(self, relative: str) -> str:
        """The URL of something below the root."""
        return f"{self.root}/{relative}"


def schema(table: Table) -> StructType:
    """The table's columns as Spark knows them."""
    return cast("StructType", StructType.fromDDL(table.columns))


def _statistics(table: Table) -> str:
    """The clause that keeps smallest and greatest values of personal columns out of the table's log."""
    if not table.personal:
        return ""
    left_out = {*table.personal, *table.partition_by}
    columns = [field.name for field in schema(table) if field.name not in left_out and isinstance(field.dataType, _COMPARED)]
    if not columns:
        return " TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '0')"
    return f" TBLPROPERTIES ('delta.dataSkippingStatsColumns' = '{','.join(columns)}')"


def _conform(frame: DataFrame, table: Table) -> DataFrame:
    """The table's columns in their order and types; a missing one is an error of the job that made the frame."""
    if missing := [field.name for field in schema(table) if field.name not in frame.columns]:
        raise InputError(f"{table.name}: the new rows lack the columns {', '.join(missing)}")
    return frame.select(*[F.col(field.name).cast(field.dataType).alias(field.name) for field in schema(table)])


def put_folder(local: Path, url: str) -> None:
    """Copy a local folder to a URL of the lake. Callers name a new folder each time and refer to it only afterwards."""
    filesystem, path = fsspec.core.url_to_fs(url)
    filesystem.makedirs(path, exist_ok=True)
    for file in sorted(local.iterdir()):
        filesystem.put_file(str(file), f"{path}/{file.name}")


def get_folder(url: str) -> Path:
    """Fetch a folder of the lake into a temporary local one, which the caller removes.

    Raises
    ------
    InputError : there is no such folder.
    """
    filesystem, path = fsspec.core.url_to_fs(url)
    if not filesystem.isdir(path):
        raise InputError(f"{url}: no such folder in the lake")
    local = Path(tempfile.mkdtemp(prefix="marquee-"))
    try:
        for remote in filesystem.ls(path, detail=False):
            filesystem.get_file(remote, str(local / Path(remote).name))
    except BaseException:
        shutil.rmtree(local, ignore_errors=True)
        raise
    return local
