"""Builds whole snapshots for tests, and writes them to a real Redis as the publish job does."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import redis

from shared import codecs, keys
from shared.config import Config, ExplorationSettings, OnlineConfig, RedisConfig
from shared.snapshots import Manifest, Snapshot, SnapshotStore
from shared.titles import Catalogue, Title
from tests.online.invented import COUNTRIES, genre_vectors, invented_titles

CREATED_AT_MS = 1_760_000_000_000
NOW_MS = CREATED_AT_MS + 6 * 3600 * 1000

Candidates = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


@dataclass
class BuiltSnapshot:
    """A snapshot before it is written: titles, shared arrays, and each member's candidates."""

    titles: list[Title]
    arrays: dict[str, npt.NDArray[Any]]
    candidates: dict[str, Candidates] = field(default_factory=dict)
    created_at_ms: int = CREATED_AT_MS

    def manifest(self, version: str, bundle: bytes = b"", blobs: tuple[bytes, ...] = ()) -> Manifest:
        """The manifest that declares it whole."""
        return Manifest(
            version=version,
            created_at_ms=self.created_at_ms,
            members=len(self.candidates),
            titles=len(self.titles),
            candidates_checksum=sum(codecs.checksum(blob) for blob in blobs) % 2**63,
            bundle_checksum=codecs.checksum(bundle) if bundle else 0,
        )

    def loaded(self, version: str = "v1") -> Snapshot:
        """The same as `SnapshotStore.load` would give."""
        return Snapshot(self.manifest(version), Catalogue(self.titles), self.arrays)


def build_snapshot(
    titles: int | list[Title] = 300, members: int = 20, candidates: int = 100, similar: int = 30, seed: int = 0
) -> BuiltSnapshot:
    """A snapshot in which similar titles share genres, and each member `m0`, `m1`, … has a taste of two or three genres."""
    random = np.random.default_rng(seed)
    catalogue = invented_titles(titles, seed) if isinstance(titles, int) else titles
    count = len(catalogue)
    vectors = genre_vectors(catalogue, random) if count else np.zeros((0, 1), dtype=np.float32)  # (titles, genres)
    popularity = random.zipf(1.4, count).clip(max=10_000).astype(np.float64)  # (titles,)

    near_titles = np.full((count, similar), -1, dtype=np.int32)
    near_scores = np.zeros((count, similar), dtype=np.float32)
    for row in range(count):
        closeness = vectors @ vectors[row]  # (titles,)
        closeness[row] = -np.inf
        nearest = ranking(closeness)[: min(similar, count - 1)]
        near_titles[row, : len(nearest)] = nearest
        near_scores[row, : len(nearest)] = closeness[nearest].clip(0.0, 1.0)

    arrays: dict[str, npt.NDArray[Any]] = {
        "similar_titles": near_titles,
        "similar_scores": near_scores,
        "popular": ranking(popularity),
        "trending": ranking(popularity * random.lognormal(0.0, 1.0, count)),
    }
    for country in COUNTRIES:
        arrays[f"popular/{country}"] = ranking(popularity * random.lognormal(0.0, 0.5, count))

    built = BuiltSnapshot(catalogue, arrays)
    for member in range(members):
        taste = random.dirichlet(np.full(vectors.shape[1], 0.3)).astype(np.float32)  # (genres,)
        scores = vectors @ taste + 0.05 * random.standard_normal(count).astype(np.float32)  # (titles,)
        best = ranking(scores)[:candidates]
        built.candidates[f"m{member}"] = (best, scores[best].astype(np.float32))
    return built


def ranking(scores: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Title indices, the greatest score first."""
    return np.argsort(-scores, kind="stable").astype(np.int32)


def write_snapshot(client: redis.Redis, namespace: str, version: str, built: BuiltSnapshot, arm: str | None = "default") -> None:
    """Write a snapshot in the publish job's order: bundle, candidates, manifest; then flip `arm` unless it is None."""
    store = SnapshotStore(client, namespace)
    bundle = codecs.encode_bundle(built.titles, built.arrays)
    store.write_bundle(version, bundle)
    blobs = {member: codecs.encode_candidates(*pair) for member, pair in built.candidates.items()}
    pipeline = client.pipeline(transaction=False)
    for member, blob in blobs.items():
        pipeline.set(keys.candidates(namespace, member, version), blob)
    pipeline.execute()
    store.write_manifest(built.manifest(version, bundle, tuple(blobs.values())))
    if arm is not None:
        store.flip(arm, version)


def online_config(url: str, namespace: str, **online: Any) -> Config:
    """A configuration for a recommender on some Redis: no impressions, no exploration, and time enough on a busy machine."""
    return Config(
        redis=RedisConfig(url=url, namespace=namespace),
        online=OnlineConfig(**{"log_impressions": False, "deadline_ms": 5000.0, **online}),
        exploration=ExplorationSettings(kind="none"),
    )
