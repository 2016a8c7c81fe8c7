"""Invented snapshots for benchmarks, written as the publish job writes them; their recommendations mean nothing."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from shared import codecs, keys
from shared.snapshots import Manifest, SnapshotStore, new_version
from shared.titles import Title

GENRES = ("Action", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Romance", "Thriller")
KEYS_PER_TRIP = 500

Candidates = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


def install_snapshot(
    client: redis.Redis, namespace: str, arm: str, *, titles: int, members: list[str], candidates: int = 300
) -> str:
    """Write a snapshot of titles `t0`, `t1`, … with random candidates for each member, and flip the arm; its version."""
    random = np.random.default_rng(7)
    catalogue = [Title(f"t{index}", f"Title {index}", (GENRES[index % len(GENRES)],)) for index in range(titles)]
    near = np.argsort(random.random((titles, titles)), axis=1)[:, :50].astype(np.int32)  # (titles, 50)
    ranked = np.arange(titles, dtype=np.int32)
    arrays = {
        "similar_titles": near,
        "similar_scores": np.linspace(1.0, 0.1, near.size, dtype=np.float32).reshape(near.shape),
        "popular": ranked,
        "trending": ranked[::-1].copy(),
    }
    count = min(candidates, titles)
    scores = np.linspace(1.0, 0.1, count, dtype=np.float32)
    picked = ((member, (random.choice(titles, count, replace=False).astype(np.int32), scores)) for member in members)
    version = new_version("bench")
    write_snapshot(client, namespace, version, catalogue, arrays, picked)
    SnapshotStore(client, namespace).flip(arm, version)
    return version


def write_snapshot(
    client: redis.Redis,
    namespace: str,
    version: str,
    titles: Sequence[Title],
    arrays: Mapping[str, npt.NDArray[Any]],
    candidates: Iterable[tuple[str, Candidates]],
    *,
    created_at_ms: int = 0,
) -> None:
    """Write a whole snapshot in the publish job's order, and point no arm at it.

    Parameters
    ----------
    candidates : of each member, best first: title indices (k,) int32 and scores (k,) float32.
    """
    store = SnapshotStore(client, namespace)
    bundle = codecs.encode_bundle(list(titles), dict(arrays))
    store.write_bundle(version, bundle)
    members = checksum = 0
    pipeline = client.pipeline(transaction=False)
    for member_id, found in candidates:
        blob = codecs.encode_candidates(*found)
        pipeline.set(keys.candidates(namespace, member_id, version), blob)
        members, checksum = members + 1, checksum + codecs.checksum(blob)
        if members % KEYS_PER_TRIP == 0:
            pipeline.execute()
    pipeline.execute()
    store.write_manifest(
        Manifest(
            version=version,
            created_at_ms=created_at_ms,
            members=members,
            titles=len(titles),
            candidates_checksum=checksum % 2**63,
            bundle_checksum=codecs.checksum(bundle),
        )
    )
