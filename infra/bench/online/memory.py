"""What it all takes: memory of a process that serves, and bytes in Redis of a member, part by part."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import redis

from infra.bench.online.server import client_core
from infra.bench.online.stage import NAMESPACE, Stage
from infra.bench.online.timing import on_core
from infra.bench.report import Row
from infra.local.settings import to_toml
from shared import keys
from shared.errors import UnavailableError

ROOT = Path(__file__).parents[3]
SAMPLED = 1000
PAGES = 2000
MILLION = 1_000_000
GIB = 2**30
_PROGRAM = """
import json, sys, psutil
process, seen = psutil.Process(), {}
def look(what): seen[what] = process.memory_info().rss
look("interpreter with psutil")
import online
from online import Recommender
look("online imported")
with Recommender.from_config(sys.argv[1]) as recommender:
    recommender.page("m0", country="US")
    look("snapshot loaded, one page")
    for number in range(int(sys.argv[2])):
        recommender.page(f"m{number % int(sys.argv[3])}", country="US")
    look("many pages")
print(json.dumps(seen))
"""


def measure(stage: Stage) -> list[Row]:
    """A process of its own for the library's memory, samples for Redis's."""
    version = stage.version
    seen = _process(stage)
    shared_mb = (seen["snapshot loaded, one page"] - seen["online imported"]) / 1e6
    figure = f"{seen['many pages'] / 1e6:.0f} MB after {PAGES:,} pages; " + ", ".join(
        f"{what} {rss / 1e6:.0f}" for what, rss in list(seen.items())[:-1]
    )
    with stage.client() as client:
        parts = _parts(client, stage, version)
    member = sum(parts.values())
    million, with_two = (size * MILLION / GIB for size in (member, member + parts["candidates"]))
    by_part = " · ".join(f"{name} {size:,.0f}" for name, size in parts.items())
    return [
        Row("resident memory of a process that serves", figure, values={"rss": seen}),
        Row(f"  of which the snapshot of {stage.world.titles:,} titles", f"{shared_mb:.0f} MB", values={"mb": shared_mb}),
        Row("Redis, bytes a member on the mean", f"{member:,.0f}: {by_part}", values=dict(parts)),
        Row(
            "Redis, a million such members",
            f"{million:.1f} GiB with one snapshot, {with_two:.1f} GiB with two (their candidates alone {with_two - million:.1f})",
            values={"gib": million, "gib_with_two": with_two},
        ),
    ]


def _process(stage: Stage) -> dict[str, int]:
    path = stage.folder / "memory.toml"
    path.write_text(to_toml(stage.config()), encoding="utf-8")
    command = [sys.executable, "-c", _PROGRAM, str(path), str(PAGES), str(stage.world.members)]
    with on_core(client_core()):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise UnavailableError(f"the process whose memory is measured failed: {done.stderr.strip().splitlines()[-1]}")
    seen: dict[str, int] = json.loads(done.stdout)
    return seen


def _parts(client: redis.Redis, stage: Stage, version: str) -> dict[str, float]:
    """Mean bytes of each part of a member, key and overhead included; a part that a member lacks counts 0."""
    drawn = np.random.default_rng(3).choice(stage.world.members, min(SAMPLED, stage.world.members), replace=False)
    members = [f"m{number}" for number in drawn.tolist()]
    named = {
        "candidates": [keys.candidates(NAMESPACE, member, version) for member in members],
        "state": [keys.state(NAMESPACE, member) for member in members],
        "fresh": [keys.fresh(NAMESPACE, member, version) for member in members],
    }
    return {name: _mean_usage(client, found) for name, found in named.items()}


def _mean_usage(client: redis.Redis, names: Iterable[str]) -> float:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.memory_usage(name, samples=0)
    sizes = pipeline.execute()
    return sum(size or 0 for size in sizes) / len(sizes)
