"""Small inputs for the tests of the offline jobs: plays, a catalogue, records on Kafka."""

import atexit
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from kafka import KafkaProducer
from pyspark.sql import DataFrame

from offline.jobs import Context
from shared import events, tables
from shared.config import Config, LakeConfig
from shared.events import Feedback, Play
from shared.lake import Lake

START_MS = 1_700_000_000_000
TITLES = 40


def plays(count: int, members: int = 30, seed: int = 1) -> list[Play]:
    """Random plays: half of the members like even titles, the others odd ones."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        member = rng.randrange(members)
        title = rng.randrange(TITLES // 2) * 2 + member % 2
        made.append(
            Play(
                schema=1,
                event_id=f"e{seed}-{number}",
                member_id=f"m{member}",
                title_id=f"t{title:02}",
                kind="stop",
                session_id=f"s{number // 3}",
                at_ms=START_MS + number * 60_000 + rng.randrange(600_000),
                position_s=round(rng.random() * 5400, 3),
                runtime_s=5400.0,
                watched_s=round(rng.random() * 60, 3),
                device="tv",
                country=rng.choice(["US", "DE"]),
            )
        )
    return made


def produce(config: Config, topic: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    """Send records and wait until Kafka has acknowledged every one."""
    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers)
    try:
        futures = [producer.send(topic, key=key, value=value) for key, value in records]
        for future in futures:
            future.get(timeout=30)
    finally:
        producer.close(timeout=10)


def records(made: Sequence[Play | Feedback]) -> list[tuple[bytes, bytes]]:
    """Events as Kafka records, keyed by member."""
    return [(event.member_id.encode(), events.encode(event)) for event in made]


def add_titles(lake: Lake) -> None:
    """Put the catalogue of `plays` into the lake."""
    rows = [
        {
            "title_id": f"t{number:02}",
            "name": f"Title {number}",
            "genres": ["Drama" if number % 2 else "Comedy"],
            "runtime_s": 5400.0,
            "countries": [],
            "maturity": "PG",
            "tags": ["Tense"] if number % 3 else [],
            "origin": "DK" if number % 2 else None,
        }
        for number in range(TITLES)
    ]
    lake.overwrite(lake.rows(rows, tables.TITLES), tables.TITLES)


def add_ready_to_publish(lake: Lake, members: int = 3) -> None:
    """What publish reads: a catalogue, popularity, neighbours, and candidates of some members."""
    add_titles(lake)
    ranked = [
        {"list": name, "rank": number + 1, "title_id": f"t{number:02}", "score": float(TITLES - number)}
        for name in ("popular", "trending", "popular/US")
        for number in range(TITLES)
    ]
    lake.overwrite(lake.rows(ranked, tables.POPULARITY), tables.POPULARITY)
    similar = [{"title_id": "t00", "similar": ["t02", "t04"], "scores": [0.5, 0.25]}]
    lake.overwrite(lake.rows(similar, tables.SIMILAR), tables.SIMILAR)
    add_candidates(lake, ["t03", "t01"], members)


def add_candidates(lake: Lake, titles: list[str], members: int = 3) -> None:
    """The same one or two candidates for each of some members."""
    rows = [{"member_id": f"m{number}", "titles": titles, "scores": [2.0, 1.0][: len(titles)]} for number in range(members)]
    lake.overwrite(lake.rows(rows, tables.CANDIDATES), tables.CANDIDATES)


def play_rows(lake: Lake, made: Iterable[Play]) -> DataFrame:
    """Plays as `ingest` puts them into the lake, but for where they came from."""
    return lake.rows([msgspec.structs.asdict(play) | {"month": "2023-11"} for play in made], tables.PLAYS)


def context(config: Config) -> Context:
    """What a job is given, with few candidates and factors."""
    _copy_empty_lake(config)
    training = msgspec.structs.replace(config.training, factors=8, iterations=4, candidates=10, similar=5)
    config = msgspec.structs.replace(config, training=training)
    return Context(config, Lake.open(config, "tests"), int(time.time() * 1000))


_empty_lake: Path | None = None


def _copy_empty_lake(config: Config) -> None:
    """Start from a copy of empty tables: creating all of them takes seconds, and each test has a lake of its own."""
    global _empty_lake
    root = Path(config.lake.root)
    if root.exists():
        return
    if _empty_lake is None:
        _empty_lake = Path(tempfile.mkdtemp(prefix="marquee-tests-")) / "lake"
        atexit.register(shutil.rmtree, _empty_lake.parent, ignore_errors=True)
        Lake.open(msgspec.structs.replace(config, lake=LakeConfig(root=str(_empty_lake))), "tests")
    shutil.copytree(_empty_lake, root)
