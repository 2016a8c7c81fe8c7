"""Feast's online read on a Redis, measured by itself: a program for an environment of its own, with no import of Marquee's.

    python -P feast_program.py '{"redis": "127.0.0.1:6379,db=1", "entities": 100, "features": 20, "stored": 2000, "calls": 200}'

Prints one line of JSON: its version, and for one entity and for `entities` of them the seconds of each call and the CPU seconds
of one on the mean.
"""

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["FEAST_USAGE"] = "False"  # read when feast is imported

import feast
import numpy as np
import pandas as pd
from feast.types import Float32

WARM_UP = 20


def main(job: dict[str, Any]) -> None:
    """Store some entities, read them back, and tell."""
    features = [f"f{number}" for number in range(job["features"])]
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder), job["redis"], features, job["stored"], random)
        named = [f"titles:{feature}" for feature in features]

        def read(count: int) -> tuple[float, Any]:
            rows = [{"title_id": f"t{number}"} for number in random.integers(0, job["stored"], count).tolist()]
            began_s = time.perf_counter()
            found = store.get_online_features(features=named, entity_rows=rows)
            return time.perf_counter() - began_s, found

        read_back = read(job["entities"])[1].to_dict()
        if any(value is None for feature in features for value in read_back[feature]):
            raise RuntimeError("Feast does not give back what it was given")
        told: dict[str, Any] = {"version": feast.__version__}
        for name, count in (("one", 1), ("many", job["entities"])):
            for _ in range(WARM_UP):
                read(count)
            cpu_s = time.process_time()
            seconds = [read(count)[0] for _ in range(job["calls"])]
            told[name] = {"seconds": seconds, "cpu_s": (time.process_time() - cpu_s) / job["calls"]}
    print(json.dumps(told))


def _store(folder: Path, address: str, features: list[str], stored: int, random: np.random.Generator) -> feast.FeatureStore:
    """A store with one feature view whose online table is in Redis."""
    values = {feature: random.random(stored).astype(np.float32) for feature in features}
    ids = [f"t{number}" for number in range(stored)]
    table = pd.DataFrame({"title_id": ids, "event_timestamp": [datetime.now(UTC)] * stored, **values})
    table.to_parquet(folder / "titles.parquet")
    title = feast.Entity(name="title", join_keys=["title_id"], value_type=feast.ValueType.STRING)
    view = feast.FeatureView(
        name="titles",
        entities=[title],
        ttl=timedelta(days=1),
        schema=[feast.Field(name=feature, dtype=Float32) for feature in features],
        source=feast.FileSource(path=str(folder / "titles.parquet"), timestamp_field="event_timestamp"),
    )
    store = feast.FeatureStore(
        config=feast.RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store={"type": "redis", "connection_string": address},
            offline_store={"type": "dask"},
            entity_key_serialization_version=3,
        )
    )
    store.apply([title, view])
    store.write_to_online_store("titles", table)
    return store


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
