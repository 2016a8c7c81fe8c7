"""One typed configuration for all layers: marquee.toml, with secrets from the environment.

Every default stands beside its field, and every number carries its unit in its name. `load` is called once at the
start of each command and by `Recommender.from_config`.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from shared.errors import ConfigError

SEARCH_PATH = ("marquee.toml", ".marquee/marquee.toml")
"""Where a configuration is looked for when none is named; the second is the one that the local stack writes."""


Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Weight = Annotated[float, msgspec.Meta(ge=0, le=10)]
LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: immutable, and a key that it does not know is an error."""


class RedisConfig(Section, frozen=True):
    """The online store. The password comes from MARQUEE_REDIS_PASSWORD."""

    # Also rediss:// (TLS), unix:///path/to/socket?db=0, and redis+cluster://host:port,host:port with some nodes of a cluster.
    url: str = "redis://127.0.0.1:6379/0"
    namespace: str = "mq"  # first part of every key, so that tenants can share one Redis
    timeout_s: Positive = 2.0  # connecting, and each reply
    password: str | None = None


class KafkaConfig(Section, frozen=True):
    """The event log. Topics are created by `python -m infra.local` or by the operator, keyed by member_id."""

    bootstrap_servers: str = "127.0.0.1:9092"  # comma separated
    partitions: Count = 8  # of each topic when Marquee creates it
    replication: Count = 1
    timeout_s: Positive = 10.0
    plays_topic: str = "plays"
    feedback_topic: str = "feedback"
    impressions_topic: str = "impressions"
    dead_letters_topic: str = "dead-letters"


class LakeConfig(Section, frozen=True):
    """Where the Delta tables and models live: a local folder, or any Hadoop or fsspec URL (s3a://, hdfs://, …)."""

    root: str = ".marquee/lake"


class SparkConfig(Section, frozen=True):
    """How batch jobs start Spark when they are not started by spark-submit, which brings its own settings."""

    master: str = "local[*]"
    driver_memory: str = "4g"
    shuffle_partitions: Count = 8
    log_level: LogLevel | None = (
        None  # of Spark's own log; None: only what a command cannot tell itself (ERROR under spark-submit)
    )
    settings: dict[str, str] = {}  # further spark.* settings, as they are


class JobsConfig(Section, frozen=True):
    """The batch jobs."""

    metrics_file: str = ""  # one Prometheus file a job is written beside this name: metrics.prom -> metrics-replay.prom


class TrainingConfig(Section, frozen=True):
    """Offline training and candidates."""

    model: str = "blend"  # what candidates come from: the name of a model; a blend chooses its sources by data and machine
    settings: dict[str, dict[str, Any]] = {}  # of models by name, as [training.settings.ease], beyond what stands below
    factors: Count = 64
    iterations: Count = 10
    unobserved_pull: Positive = 20.0  # of all entries together to 0, beside 1 of the observed ones together to 1
    regularisation: Annotated[float, msgspec.Meta(ge=0)] = 0.005  # scaled by how often a member or title occurs
    spread_entries: Count = 200_000_000  # more interactions than this are learned from over the whole cluster, by iALS alone
    candidates: Count = 300  # top-K kept for each member
    new_title_share: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.05  # of them, titles without plays, by their genres
    similar: Count = 50  # neighbours kept for each title
    seed: int = 7
    test_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = (
        0.1  # newest share of the plays held out by `evaluate`, split by time
    )
    trending_half_life_h: Positive = 72.0
    ranker: bool = True  # train one on logged pages; without, pages are ranked by the blend's own scores
    ranker_pages: Count = 20_000  # newest logged pages that the ranker learns from


class NearlineConfig(Section, frozen=True):
    """The stream worker."""

    group: str = "marquee-nearline"
    batch_events: Count = 50_000  # most events folded and written in one step; with little lag there are fewer
    session_timeout_s: Positive = 6.0  # a worker silent for longer loses its partitions; brokers allow no less by default
    stall_timeout_s: Positive = 30.0  # no progress while there is lag: the worker ends itself
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0  # also health and readiness; 0: none of them
    ready_lag_records: Annotated[int, msgspec.Meta(ge=0)] = 10_000  # a worker that has been no further behind is ready
    cache_mb: Annotated[int, msgspec.Meta(ge=0)] = 256  # memory for states between batches


class TrendingConfig(Section, frozen=True):
    """Live trending: counted and published by the stream workers, shown by the request library."""

    window_s: Annotated[int, msgspec.Meta(ge=60)] = 3600  # what is counted together, by the time of the page or the play
    windows: Count = 48  # kept; pages and plays from before them are not counted
    half_life_h: Positive = 12.0  # the weight of a window halves with each so many hours of age
    join_s: Annotated[int, msgspec.Meta(ge=1)] = 7200  # a play so long after its page is a take; one waits longer for the other
    prior_strength: Positive = 200.0  # impressions that the prior of a take-rate is worth
    credibility: Annotated[float, msgspec.Meta(gt=0.5, lt=1)] = 0.95  # chance that a rate is above its published lower bound
    publish_s: Positive = 5.0
    expire_s: Annotated[int, msgspec.Meta(ge=1)] = 60  # without a newer one, pages go back to the snapshot's after this
    titles: Count = 100  # published for each country and part of the day
    shards: Count = 4  # hash tags that the counters are spread over; counting starts anew when this is changed
    utc_offset_h: dict[str, Annotated[float, msgspec.Meta(ge=-12, le=14)]] = {}  # country to its local time; others have UTC


class RetrievalConfig(Section, frozen=True):
    """Candidates retrieved anew by the stream workers after a member finished a title, gave a thumb, or got far into a title."""

    candidates: Count = 300  # kept for each member
    batch_members: Count = 64  # most members retrieved for in one step; with little to do there are fewer
    queue_members: Count = 10_000  # waiting in memory; further ones wait in Redis
    lateness_s: Positive = 900.0  # what happened longer ago is left to the nightly run
    expire_s: Annotated[int, msgspec.Meta(ge=1)] = 172_800  # candidates, and members waiting in Redis, are kept so long


class OnlineConfig(Section, frozen=True):
    """The request library."""

    arm: str = "default"  # which snapshot pointer to follow
    deadline_ms: Positive = 250.0  # what waiting for Redis may take in all before falling back
    rows: Count = 12
    row_length: Count = 20
    log_impressions: bool = True
    impressions_buffer: Count = 10_000  # pages waiting for Kafka; more are dropped and counted
    experiments: str = ""  # TOML file of tests and cells (`python -m online experiments check`); "": none
    stages: dict[str, str] = {}  # stage of a request to what does it instead, as package.module:function
    deadline_shares: dict[str, Share] = {}  # stage to its share of the deadline; online.deadline has the others
    keep_snapshot: str = ""  # file, less "-" and the arm's name, that has something to show when Redis is away at the start
    concurrency: Count = 16  # calls of threads in hand at once; further ones get what is popular, from memory
    breaker_failures: Count = 5  # reads from Redis that fail in a row, or half of 10 s' reads: requests stop waiting for it
    breaker_pause_s: Positive = 1.0  # before one of them tries again, a quarter more or less
    rows_shown: tuple[str, ...] = ()  # rows from top to bottom, as `shared.pages.rows.load_rows` names them; (): its template
    maturity_order: tuple[str, ...] = (
        "TV-Y", "G", "TV-G", "TV-Y7", "PG", "TV-PG", "PG-13", "TV-14", "R", "TV-MA", "NC-17",
    )  # fmt: skip  # ratings, the mildest first; a limit lets through what stands before it, and itself


ExplorationKind = Literal["none", "epsilon", "softmax", "thompson"]


class ExplorationSettings(Section, frozen=True):
    """What is shown to learn from it, and how it is drawn; `shared.pages.exploration` says what the kinds do."""

    kind: ExplorationKind = "epsilon"
    epsilon: Share = 0.1  # chance that an ε-slot explores
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.5  # of a softmax, in standard deviations of the pool's scores; 0: none
    first_slot: Annotated[int, msgspec.Meta(ge=0)] = 4  # place in a row, from 0, of the first cell that explores
    slots: Count = 1  # cells of a row that explore, one after the other
    pool: Count = 100  # titles that can be drawn: the best so many of those that may be explored
    rows: tuple[str, ...] = ("top-picks",)  # keys of rows that explore; `genre` is all of `genre:…`


class ServeConfig(Section, frozen=True):
    """The HTTP server, `python -m online serve`."""

    host: str = "127.0.0.1"  # where it listens; 0.0.0.0 is every address of the machine
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080  # 0: any free one
    workers: Count = 1  # processes, each with its own copy of the snapshot
    people_pages: bool = True  # / and /member show any member's page and state to whoever reaches the port
    connections: Count = 1000  # of each process; further ones are answered with 503
    limit_s: Positive = 5.0  # a request that takes longer, the time to send it included, is answered with 503
    body_bytes: Count = 65_536  # a request with more is answered with 413
    stop_s: Count = 10  # what requests in hand may take after SIGTERM
    feedback_buffer: Count = 10_000  # feedback waiting for Kafka; more is answered with 503 and counted


class DeviceFormat(Section, frozen=True):
    """How much of a page a kind of device gets, and how much of that its first screen shows."""

    rows: Count = 20
    row_length: Count = 40
    visible_rows: Count = 3
    visible_cells: Count = 6


class PageConfig(Section, frozen=True):
    """How drafted rows become a page: `shared.pages.policies`, `shared.pages.devices`."""

    policy: str = "stagewise"  # template, alone, stagewise, search, or a policy of the team's own
    diversity: Share = 0.5  # of a row's worth, how much counts only as far as the rows above left its genres open
    repetition: Weight = 0.15  # what the best row would lose below many rows of its own kind, as a share of its worth
    freshness: Weight = 0.2  # how much more a title is worth that was released lately
    stability: Share = 0.3  # 0 forgets the member's last page, 1 keeps its order whatever else changed
    # Row key to n: when it is drafted, it is among the first n rows. These are looked for: where one stopped, and what is on.
    pinned: dict[str, Count] = msgspec.field(default_factory=lambda: {"continue-watching": 5, "trending": 10})
    evaluations: Count = 60  # pages that the search policy looks at
    devices: dict[str, DeviceFormat] = {}  # in addition to, or instead of, those of shared.pages.devices


class PublishConfig(Section, frozen=True):
    """Snapshots in Redis."""

    keep: Count = 2  # versions kept for rollback, the current one included
    expire_s: Annotated[int, msgspec.Meta(ge=0)] = 3600  # how long a retired version stays readable for requests in flight


class ImportConfig(Section, frozen=True):
    """Reading the user's files."""

    bad_lines_limit: Annotated[int, msgspec.Meta(ge=0)] = 1000  # more unreadable lines than this stop the import
    bad_lines_share: Share = 0.01  # … or a greater share of all lines


class Config(Section, frozen=True):
    """All of marquee.toml. A section that is left out has its defaults."""

    redis: RedisConfig = RedisConfig()
    kafka: KafkaConfig = KafkaConfig()
    lake: LakeConfig = LakeConfig()
    spark: SparkConfig = SparkConfig()
    jobs: JobsConfig = JobsConfig()
    training: TrainingConfig = TrainingConfig()
    nearline: NearlineConfig = NearlineConfig()
    trending: TrendingConfig = TrendingConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    online: OnlineConfig = OnlineConfig()
    page: PageConfig = PageConfig()
    exploration: ExplorationSettings = ExplorationSettings()
    serve: ServeConfig = ServeConfig()
    publish: PublishConfig = PublishConfig()
    imports: ImportConfig = ImportConfig()


def load(path: str | Path | None = None) -> Config:
    """Read the configuration.

    Parameters
    ----------
    path : the file; None takes $MARQUEE_CONFIG, else the first of `SEARCH_PATH` that exists, else all defaults.

    Raises
    ------
    ConfigError : the named file is missing, is not TOML, or has a wrong or unknown key; names file and key.
    """
    named = path if path is not None else os.environ.get("MARQUEE_CONFIG")
    if named is None:
        named = next((place for place in SEARCH_PATH if Path(place).is_file()), None)
    config = Config() if named is None else _read(Path(named))
    password = os.environ.get("MARQUEE_REDIS_PASSWORD")
    if password:
        config = msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, password=password))
    return config


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """A TOML file as it is; `what` is what it is called in messages.

    Raises
    ------
    ConfigError : it is missing, cannot be read, or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such {what} file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the {what} cannot be read ({error})") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _read(path: Path) -> Config:
    tree = read_toml(path, "configuration")
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_plain(str(error), tree)}") from None


def _plain(message: str, tree: dict[str, object]) -> str:
    """msgspec's message with its `$.section` path put as a TOML key, and the known keys for an unknown one."""
    what, _, where = message.partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    if where and "." not in where and "unknown field" not in what:
        return f"{where} is expected to be a section, written [{where}]"
    if "unknown field" not in what:
        return f"[{where.partition('.')[0]}] {where.partition('.')[2] or where}: {what[0].lower()}{what[1:]}"
    key = what.split("`")[1]
    section: type[Section] = Config
    if where:
        section = type(getattr(Config(), where))
    known = ", ".join(msgspec.structs.asdict(section()))
    place = f"[{where}] has" if where else "the file has"
    return f"{place} an unknown key {key!r}; known keys: {known}"
