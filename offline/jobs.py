"""What a job is, how one is run, and when it is skipped.

A job reads tables, calls pure functions and writes tables. `run` compares the versions of what it reads, the settings that
matter to it and the code with its last success: if nothing changed and its output is still what it wrote, it is skipped.
Every run, skipped and failed ones too, leaves a row in `ops/runs`.
"""

import functools
import hashlib
import logging
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
from pyspark.sql import functions as F

import offline
import shared
from offline import metrics
from shared import tables
from shared.config import Config
from shared.lake import Lake, usable
from shared.tables import Table

log = logging.getLogger(__name__)

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Context:
    """What every job is given. `say` takes one line of progress for a person."""

    config: Config
    lake: Lake
    now_ms: int
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    say: Callable[[str], None] = log.info


@dataclass(frozen=True)
class Job:
    """One job.

    `work` does it and returns what to remember about it. `settings` picks the part of the configuration that changes its
    result. `is_current` answers for effects outside the lake (Redis, Kafka): whether what the last run did still holds.
    """

    name: str
    summary: str
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]
    work: Callable[[Context], dict[str, str]]
    settings: Callable[[Config], object] = lambda config: None
    is_current: Callable[[Context], bool] = lambda context: True


@dataclass(frozen=True)
class Outcome:
    """How one run went."""

    job: str
    status: Status
    seconds: float
    details: dict[str, str]


def fingerprint(job: Job, config: Config) -> str:
    """A hash of the settings and the code that the job's result depends on."""
    settings = msgspec.json.encode(job.settings(config), order="sorted")
    return hashlib.blake2b(f"{job.name} {_code()} ".encode() + settings, digest_size=8).hexdigest()


@functools.cache
def _code() -> str:
    """A hash of all code that a job may call: the packages `offline` and `shared`."""
    digest = hashlib.blake2b(digest_size=8)
    for package in (offline, shared):
        for folder in package.__path__:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def run(job: Job, context: Context, *, force: bool = False) -> Outcome:
    """Run a job, or skip it when nothing that it depends on has changed.

    Raises
    ------
    UnavailableError : Spark failed; says why in one line. Whatever else the job raises, after the failure was recorded.
    """
    with usable(f"{job.name} failed"):
        return _run(job, context, force)


def _run(job: Job, context: Context, force: bool) -> Outcome:
    started_ms, started_s = int(time.time() * 1000), time.monotonic()
    inputs = _versions(context.lake, job.reads)
    mark = fingerprint(job, context.config)
    if not force and _is_unchanged(job, context, inputs, mark):
        return _record(job, context, "skipped", started_ms, started_s, inputs, mark, {})
    try:
        details = job.work(context)
    except BaseException as error:
        # Recording is second to the failure itself, which may be the lake's.
        try:
            _record(job, context, "failed", started_ms, started_s, inputs, mark, {}, error)
        except Exception:
            log.info("the failure of %s could not be recorded", job.name, exc_info=True)
        raise
    return _record(job, context, "done", started_ms, started_s, inputs, mark, details)


def run_all(jobs: Sequence[Job], context: Context, *, force: bool = False) -> list[Outcome]:
    """Run jobs in their order. After a failure a second call resumes: what succeeded is skipped."""
    outcomes = []
    for number, job in enumerate(jobs, 1):
        context.say(f"[{number}/{len(jobs)}] {job.name}: {job.summary}")
        outcome = run(job, context, force=force)
        outcomes.append(outcome)
        context.say(f"[{number}/{len(jobs)}] {job.name}: {outcome.status} in {outcome.seconds:.1f} s{_listed(outcome.details)}")
    return outcomes


def _listed(details: dict[str, str]) -> str:
    return "".join(f", {name} {value}" for name, value in details.items() if "\n" not in value)


def _versions(lake: Lake, of: Sequence[Table]) -> dict[str, int]:
    return {table.name: lake.version(table) for table in of}


def _is_unchanged(job: Job, context: Context, inputs: dict[str, int], mark: str) -> bool:
    last = (
        context.lake.read(tables.RUNS)
        .where((F.col("job") == job.name) & (F.col("status") == "done"))
        .orderBy(F.desc("started_at_ms"))
        .select("inputs", "outputs", "fingerprint")
        .limit(1)
        .collect()
    )
    if not last or last[0]["inputs"] != inputs or last[0]["fingerprint"] != mark:
        return False
    return bool(last[0]["outputs"] == _versions(context.lake, job.writes)) and job.is_current(context)


def _record(
    job: Job,
    context: Context,
    status: Status,
    started_ms: int,
    started_s: float,
    inputs: dict[str, int],
    mark: str,
    details: dict[str, str],
    error: BaseException | None = None,
) -> Outcome:
    seconds = time.monotonic() - started_s
    row = {
        "run_id": context.run_id,
        "job": job.name,
        "started_at_ms": started_ms,
        "seconds": seconds,
        "status": status,
        "inputs": inputs,
        "outputs": _versions(context.lake, job.writes),
        "fingerprint": mark,
        "details": details,
        "error": "".join(traceback.format_exception(error)) if error else None,
    }
    context.lake.append(context.lake.rows([row], tables.RUNS), tables.RUNS)
    metrics.write(context.config.jobs.metrics_file, job.name, status, seconds, time.time())
    log.info("job ended", extra={"job": job.name, "status": status, "seconds": round(seconds, 3), "run_id": context.run_id})
    return Outcome(job.name, status, seconds, details)
