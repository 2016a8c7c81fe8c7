"""Erases a member from the lake, and proves it by looking for the member afterwards.

First the erasure is written down, by a hash of the id and with where the topics end; from then on ingest, replay and import
leave out what lies before (`offline.erased`). Then the member's rows go from every table that has personal columns, with the
files that earlier versions of the table still had, and from every saved model. Running it again does no harm.

The price is time travel: a table that had the member can be read at its newest version only. So no other job may run meanwhile.
"""

import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_

import fsspec
from delta.tables import DeltaTable
from pyspark.sql import Column
from pyspark.sql import functions as F

from offline.jobs import Context, Job
from offline.models import storage
from offline.table_files import data_files_with, log_files_with, readable_as_files
from offline.training import unfinished
from shared import erasure, store, tables
from shared.erasure import Ends
from shared.errors import InputError
from shared.events import MAX_ID_LENGTH
from shared.lake import Lake, get_folder, put_folder
from shared.tables import Table


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done to one store; `files` that still have the member, of any version, and `log_files` that name it."""

    removed: int
    files: int
    log_files: int = 0


def job(member_id: str, ends: Ends | None = None) -> Job:
    """The job that erases one member.

    Parameters
    ----------
    ends : where the topics ended when the erasure began; None asks Kafka.

    Raises
    ------
    InputError : this can be no member's id.
    """
    if not 0 < len(member_id) <= MAX_ID_LENGTH:
        raise InputError(f"a member's id has 1 to {MAX_ID_LENGTH} characters; {len(member_id)} were given")
    return Job(
        name="erase",
        summary="remove a member's rows, their files and the member in saved models",
        reads=(),
        writes=(tables.ERASED,),
        work=lambda context: work(context, member_id, ends),
        is_current=lambda context: False,
    )


def work(context: Context, member_id: str, ends: Ends | None) -> dict[str, str]:
    """Write the erasure down, erase, and count what is left; the id is in nothing that is returned or kept."""
    lake = context.lake
    if ends is None:
        with store.reachable(context.config.redis), store.connect(context.config.redis) as client:
            ends = erasure.ends(client, context.config)
    row = {"member_hash": erasure.member_hash(member_id), "erased_at_ms": int(time.time() * 1000), "ends": ends}
    lake.append(lake.rows([row], tables.ERASED), tables.ERASED)
    found = [*_erase_rows(lake, member_id, context.say), _erase_from_models(lake, member_id, context.say)]
    return {
        "removed": str(sum(one.removed for one in found)),
        "left": str(sum(one.files + one.log_files for one in found)),
    }


def _erase_rows(lake: Lake, member_id: str, say: Callable[[str], None]) -> list[Erased]:
    def files(table: Table) -> int:
        return data_files_with(lake, table, names_member(table, member_id))

    def delete(table: Table) -> int:
        return lake.delete(table, names_member(table, member_id))

    looked_at = [table for table in tables.ALL if table.personal]
    with readable_as_files(lake):
        before = dict(zip(looked_at, lake.each(looked_at, files), strict=True))
        having = [table for table, count in before.items() if count]
        removed = dict(zip(having, lake.each(having, delete), strict=True))
        lake.vacuum(having)
        after = dict(zip(having, lake.each(having, files), strict=True))
    erased = []
    for table in looked_at:
        one = Erased(removed.get(table, 0), after.get(table, 0), log_files_with(lake, table, member_id))
        left = f"{one.files} files with the member, {one.log_files} of the log"
        say(f"  {table.name:<20} {one.removed:>8} rows removed; left: {left}")
        erased.append(one)
    if any(one.log_files for one in erased):
        say("  (the table is older than `erase`; Delta drops such files after delta.logRetentionDuration, 30 days by default)")
    return erased


def names_member(table: Table, member_id: str) -> Column:
    """Whether a row of a table is the member's, or names the member in what could not be read."""
    if table.name == tables.BRONZE.name:
        value = F.col("value").cast("string")
        claims = value.rlike(rf'"member_id"\s*:\s*{_literally(json.dumps(member_id, ensure_ascii=False))}')
        escaped = F.get_json_object(value, "$.member_id") == member_id
        conditions = [F.col("key") == F.lit(bytearray(member_id.encode())), claims, escaped]
    elif table.name == tables.QUARANTINE.name:
        # Of what nobody can read, better a row too many than one too few: the id anywhere, but not as a part of another.
        whole = rf"(?<![\w-]){_literally(member_id)}(?![\w-])"
        conditions = [F.col(name).cast("string").rlike(whole) for name in table.personal]
    else:
        conditions = [F.col(name) == member_id for name in table.personal]
    return reduce(or_, (F.coalesce(condition, F.lit(False)) for condition in conditions))


def _literally(text: str) -> str:
    """The text as a regular expression of Java that matches itself only."""
    return re.sub(r"([^\w\s])", r"\\\1", text, flags=re.ASCII)


def _erase_from_models(lake: Lake, member_id: str, say: Callable[[str], None]) -> Erased:
    """Put every saved model that has the member back without, in a new folder, and remove the old one."""
    _remove(lake.url(unfinished.FOLDER))  # has members without their ids, in whom nobody can be found
    registered = {row["folder"] for row in lake.read(tables.MODELS).select("folder").collect()}
    removed = left = 0
    for folder in sorted(registered | set(_model_folders(lake))):
        local = get_folder(lake.url(folder))
        try:
            if not storage.remove_member(local, member_id):
                continue
            if folder not in registered:  # of a training that died, or is still at work
                left += 1
                continue
            renewed = f"{folder}-{time.time_ns():x}"
            put_folder(local, lake.url(renewed))
        finally:
            shutil.rmtree(local, ignore_errors=True)
        DeltaTable.forPath(lake.spark, lake.path(tables.MODELS)).update(
            F.col("folder") == folder, {"folder": F.lit(renewed), "members": F.col("members") - 1}
        )
        _remove(lake.url(folder))
        removed += 1
    say(f"  {'models':<20} {removed:>8} rewritten; left: {left} models with the member")
    return Erased(removed, left)


def _remove(url: str) -> None:
    """Remove a folder, if it is there."""
    filesystem, path = fsspec.core.url_to_fs(url)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def _model_folders(lake: Lake) -> list[str]:
    """Every folder below the lake's models, by its path from the root, registered or not."""
    filesystem, root = fsspec.core.url_to_fs(lake.root)
    if not filesystem.isdir(f"{root}/models"):
        return []
    files = filesystem.find(f"{root}/models")
    return [file.removeprefix(f"{root}/").rpartition("/")[0] for file in files if file.rpartition("/")[2] == storage.MANIFEST]
