"""Leaves out what was erased, so that neither Kafka's log nor an import of old files brings it back. See `offline.erase`."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shared import tables
from shared.lake import Lake

CLAIMED = r'"member_id"\s*:\s*"([^"]*)"'
"""The member that a value names, also where the value is no valid JSON."""


def without_erased_records(lake: Lake, records: DataFrame) -> DataFrame:
    """Kafka's records but for those of erased members before the erasure.

    A record is a member's by its key, or by what its value says, which may be another.

    Parameters
    ----------
    records : with topic, epoch, partition, offset, key and value.
    """
    if not _is_any(lake):
        return records
    ends = lake.read(tables.ERASED).select("member_hash", F.explode("ends").alias("place", "erased_end"))
    parts = F.split("place", ":")
    erased = ends.select(
        "member_hash",
        "erased_end",
        parts[0].alias("erased_topic"),
        parts[1].cast("int").alias("erased_epoch"),
        parts[2].cast("int").alias("erased_partition"),
    )
    is_before = (F.col("topic") == F.col("erased_topic")) & (
        (F.col("epoch") < F.col("erased_epoch"))
        | (
            (F.col("epoch") == F.col("erased_epoch"))
            & (F.col("partition") == F.col("erased_partition"))
            & (F.col("offset") < F.col("erased_end"))
        )
    )
    claimed = F.regexp_extract(F.col("value").cast("string"), CLAIMED, 1).cast("binary")
    for member in (F.col("key"), claimed):
        records = records.join(F.broadcast(erased), _is_of(member) & is_before, "left_anti")
    return records


def without_erased_history(lake: Lake, history: DataFrame) -> DataFrame:
    """Imported history but for what erased members did before the erasure.

    Parameters
    ----------
    history : with member_id and at_ms.
    """
    if not _is_any(lake):
        return history
    erased = lake.read(tables.ERASED).select("member_hash", "erased_at_ms")
    is_before = F.col("at_ms") <= F.col("erased_at_ms")
    return history.join(F.broadcast(erased), _is_of(F.col("member_id").cast("binary")) & is_before, "left_anti")


def _is_any(lake: Lake) -> bool:
    return lake.version(tables.ERASED) > 0


def _is_of(member: Column) -> Column:
    return F.sha2(member, 256) == F.col("member_hash")
