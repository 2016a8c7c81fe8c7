"""Every Delta table: its columns, its key, how it is partitioned, which job writes it.

Bronze holds records as they came, silver what they say, gold what jobs make of it. Times are Unix milliseconds in UTC;
`month` columns are `yyyy-MM` of the event's time in UTC:
files within one are skipped by their statistics on `at_ms`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table: `columns` as Spark DDL, `key` what identifies a row, `partition_by` the folder columns.

    `personal` are the columns that name a member. `erase` looks for members in them, and the table's log keeps no smallest and
    greatest values of them, which would outlive the rows.
    """

    name: str
    columns: str
    key: tuple[str, ...]
    written_by: str
    partition_by: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()


_PROVENANCE = "source STRING, epoch INT, partition INT, offset LONG, arrived_at_ms LONG"

BRONZE = Table(
    "bronze/events",
    "topic STRING, epoch INT, partition INT, offset LONG, key BINARY, value BINARY, arrived_at_ms LONG",
    key=("topic", "epoch", "partition", "offset"),
    written_by="ingest",
    partition_by=("topic",),
    personal=("key", "value"),
)

PLAYS = Table(
    "silver/plays",
    "event_id STRING, member_id STRING, title_id STRING, kind STRING, session_id STRING, at_ms LONG, position_s DOUBLE, "
    "runtime_s DOUBLE, watched_s DOUBLE, device STRING, country STRING, page_id STRING, row STRING, rank INT, "
    f"weight DOUBLE, {_PROVENANCE}, month STRING",
    key=("event_id",),
    written_by="import, ingest",
    partition_by=("month",),
    personal=("member_id",),
)

FEEDBACK = Table(
    "silver/feedback",
    "event_id STRING, member_id STRING, title_id STRING, kind STRING, at_ms LONG, " + _PROVENANCE + ", month STRING",
    key=("event_id",),
    written_by="ingest",
    partition_by=("month",),
    personal=("member_id",),
)

IMPRESSIONS = Table(
    "silver/impressions",
    "page_id STRING, member_id STRING, at_ms LONG, snapshot STRING, allocation MAP<STRING, STRING>, "
    "cells ARRAY<STRUCT<row: STRING, row_index: INT, rank: INT, title_id: STRING, tier: STRING, propensity: DOUBLE>>, "
    f"country STRING, device STRING, {_PROVENANCE}, month STRING",
    key=("page_id",),
    written_by="ingest",
    partition_by=("month",),
    personal=("member_id",),
)

QUARANTINE = Table(
    "silver/quarantine",
    "source STRING, place STRING, reason STRING, value BINARY, found_at_ms LONG",
    key=("source", "place"),
    written_by="import, ingest",
    personal=("value", "reason"),
)
"""What could not be read. `source` is a topic or a file, `place` its `epoch:partition:offset` or line number."""

TITLES = Table(
    "silver/titles",
    "title_id STRING, name STRING, genres ARRAY<STRING>, released_ms LONG, runtime_s DOUBLE, countries ARRAY<STRING>, "
    "maturity STRING, tags ARRAY<STRING>, origin STRING",
    key=("title_id",),
    written_by="import",
)

STATES = Table(
    "gold/member_states",
    "member_id STRING, state BINARY, fence BINARY",
    key=("member_id",),
    written_by="replay",
    personal=("member_id",),
)

INTERACTIONS = Table(
    "gold/interactions",
    "member_id STRING, title_id STRING, weight FLOAT, at_ms LONG, country STRING",
    key=("member_id", "title_id"),
    written_by="train",
    personal=("member_id",),
)

MODELS = Table(
    "ops/models",
    "name STRING, version STRING, folder STRING, trained_at_ms LONG, interactions_version LONG, members LONG, titles LONG, "
    "settings STRING, seconds DOUBLE, data_fingerprint STRING, cpu_seconds DOUBLE, peak_memory_mb DOUBLE, device STRING, "
    "resumed_from INT, metrics MAP<STRING, DOUBLE>, versions MAP<STRING, STRING>",
    key=("name", "version"),
    written_by="train",
)
"""Every model that was trained, with the record of its run; `folder` is relative to the lake's root. The newest of a name is
the one in use. `resumed_from` is the pass of an interrupted run that this one went on from, null for none."""

RANKERS = Table(
    "ops/rankers",
    "version STRING, folder STRING, trained_at_ms LONG, pages LONG, cells LONG, plays LONG, settings STRING, seconds DOUBLE, "
    "cpu_seconds DOUBLE, peak_memory_mb DOUBLE, device STRING, metrics MAP<STRING, DOUBLE>, versions MAP<STRING, STRING>",
    key=("version",),
    written_by="ranker",
)
"""Every ranker that was trained; `folder` is relative to the lake's root, and nothing in it is about a single member. A table
of its own: models decide the candidates, which need not be made anew for a ranker."""

METRICS = Table(
    "ops/metrics",
    "run_id STRING, at_ms LONG, model STRING, metric STRING, mean DOUBLE, low DOUBLE, high DOUBLE, members LONG",
    key=("run_id", "model", "metric"),
    written_by="evaluate",
)

SIMILAR = Table(
    "gold/similar",
    "title_id STRING, similar ARRAY<STRING>, scores ARRAY<FLOAT>, together ARRAY<LONG>",
    key=("title_id",),
    written_by="similar",
)
"""`together` says for each neighbour how many members watched both; null in rows from before it was kept."""

POPULARITY = Table(
    "gold/popularity",
    "list STRING, rank INT, title_id STRING, score DOUBLE",
    key=("list", "rank"),
    written_by="popularity",
)
"""`list` is `popular`, `trending` or `popular/<country>`; every list ranks the whole catalogue."""

CANDIDATES = Table(
    "gold/candidates",
    "member_id STRING, titles ARRAY<STRING>, scores ARRAY<FLOAT>, source_scores MAP<STRING, ARRAY<FLOAT>>",
    key=("member_id",),
    written_by="candidates",
    personal=("member_id",),
)
"""Best first by `scores`. `source_scores` has for each source its own scores of the titles, null where it does not name one."""

TITLE_FACTORS = Table(
    "gold/title_factors",
    "title_id STRING, factors ARRAY<FLOAT>, terms ARRAY<DOUBLE>, candidates_version LONG",
    key=("title_id",),
    written_by="candidates",
)
"""The factors behind one version of the candidates, and with each the same `shared.fold_in.Terms`. Candidates of another
version come from a model that has none."""

PUBLISHED = Table(
    "gold/published",
    "version STRING, arm STRING, at_ms LONG, action STRING, candidates_version LONG",
    key=("version", "at_ms"),
    written_by="publish, rollback",
)
"""`action` is started, published, rolled back to, or retired. A version that was started and never published is left over
from a publish that died; the next one clears it away."""

ERASED = Table(
    "ops/erased",
    "member_hash STRING, erased_at_ms LONG, ends MAP<STRING, LONG>",
    key=("member_hash", "erased_at_ms"),
    written_by="erase",
)
"""Members whose history was erased, by `shared.erasure.member_hash`; `ends` says up to where (`shared.erasure.Ends`)."""

RUNS = Table(
    "ops/runs",
    "run_id STRING, job STRING, started_at_ms LONG, seconds DOUBLE, status STRING, inputs MAP<STRING, LONG>, "
    "outputs MAP<STRING, LONG>, fingerprint STRING, details MAP<STRING, STRING>, error STRING",
    key=("run_id", "job"),
    written_by="every job",
)

ALL = (
    BRONZE, PLAYS, FEEDBACK, IMPRESSIONS, QUARANTINE, TITLES, STATES, INTERACTIONS, SIMILAR, POPULARITY, CANDIDATES,
    TITLE_FACTORS, PUBLISHED, MODELS, RANKERS, METRICS, ERASED, RUNS,
)  # fmt: skip
