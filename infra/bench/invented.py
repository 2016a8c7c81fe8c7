"""A small invented snapshot for benchmarks of what happens around it: its recommendations mean nothing."""

import numpy as np
import redis

from shared import codecs, keys
from shared.snapshots import Manifest, SnapshotStore, new_version
from shared.titles import Title

GENRES = ("Action", "Comedy", "Crime", "Drama", "Fantasy", "Horror", "Romance", "Thriller")


def install_snapshot(
    client: redis.Redis, namespace: str, arm: str, *, titles: int, members: list[str], candidates: int = 300
) -> str:
    """Write a snapshot of titles `t0`, `t1`, … with random candidates for each member, and flip the arm; its version."""
    random = np.random.default_rng(7)
    version = new_version("bench")
    catalogue = [Title(f"t{index}", f"Title {index}", (GENRES[index % len(GENRES)],)) for index in range(titles)]
    near = np.argsort(random.random((titles, titles)), axis=1)[:, :50].astype(np.int32)  # (titles, 50)
    ranked = np.arange(titles, dtype=np.int32)
    bundle = codecs.encode_bundle(
        catalogue,
        {
            "similar_titles": near,
            "similar_scores": np.linspace(1.0, 0.1, near.size, dtype=np.float32).reshape(near.shape),
            "popular": ranked,
            "trending": ranked[::-1].copy(),
        },
    )
    store = SnapshotStore(client, namespace)
    store.write_bundle(version, bundle)
    total = 0
    pipeline = client.pipeline(transaction=False)
    for member in members:
        picked = random.choice(titles, size=min(candidates, titles), replace=False).astype(np.int32)
        blob = codecs.encode_candidates(picked, np.linspace(1.0, 0.1, len(picked), dtype=np.float32))
        total += codecs.checksum(blob)
        pipeline.set(keys.candidates(namespace, member, version), blob)
    pipeline.execute()
    store.write_manifest(
        Manifest(
            version=version,
            created_at_ms=0,
            members=len(members),
            titles=titles,
            candidates_checksum=total % 2**63,
            bundle_checksum=codecs.checksum(bundle),
        )
    )
    store.flip(arm, version)
    return version
