"""Snapshots in Redis: written whole under a new version, verified, and only then pointed at.

A snapshot is immutable: one bundle that all members share, one candidates blob a member, and a manifest written last. An
arm's pointer names the version it serves and the one before, for rollback. The publish job writes; `online` and `nearline`
read.
"""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
import redis

from shared import codecs, keys
from shared.errors import SnapshotError
from shared.titles import Catalogue

MANIFEST_VERSION = 1
BUNDLE_PART = "bundle"
MANIFEST_PART = "manifest"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot holds and where it came from. Its presence says that every part was written."""

    format: int = MANIFEST_VERSION
    version: str
    created_at_ms: int
    members: int  # candidate blobs
    titles: int
    candidates_checksum: int  # sum of the blobs' CRC-32, modulo 2 ** 63
    bundle_checksum: int
    sources: dict[str, int] = {}  # Delta table -> version that the snapshot was built from
    model: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The shared part of one snapshot, loaded into memory.

    Arrays (title indices are int32; -1 pads a row that has fewer):
      similar_titles  (titles, n) int32     neighbours of each title, best first
      similar_scores  (titles, n) float32   in [0, 1]
      popular         (titles,) int32       all titles, the most played first
      trending        (titles,) int32       all titles by plays that decay with age
      popular/<CC>    (titles,) int32       the same as `popular` within one country
    and, when the candidates come from a model that has factors, for retrieving anew (`shared.fold_in`):
      title_factors   (titles, factors) float32   all zero for a title that the model does not know
      fold_in_terms   (5,) float64                `shared.fold_in.Terms`
    and, when enough was played from logged pages, `attention` (`shared.pages.attention.BrowseModel`), and `ranker/…`
    (`shared.pages.ranker`) when one was trained that orders better than the blend's own scores.
    """

    manifest: Manifest
    catalogue: Catalogue
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def version(self) -> str:
        """The snapshot's version; versions sort by time of creation."""
        return self.manifest.version

    def popular(self, country: str | None) -> npt.NDArray[np.int32]:
        """All titles, the most popular in the country first; overall for a country without plays."""
        return self.arrays.get(f"popular/{country}", self.arrays["popular"])


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version an arm serves, and the one that it served before."""

    current: str | None
    previous: str | None


class Parts(NamedTuple):
    """The shared part of a snapshot as it is stored."""

    manifest: bytes
    bundle: bytes


def opened(parts: Parts) -> Snapshot:
    """A snapshot from its stored parts, verified against its manifest.

    Raises
    ------
    SnapshotError : the parts do not belong together, are corrupt or newer than this code.
    """
    manifest = _read_manifest(parts.manifest, "a snapshot")
    version = manifest.version
    if codecs.checksum(parts.bundle) != manifest.bundle_checksum:
        raise SnapshotError(f"the bundle of snapshot {version!r} is not the one that its manifest names")
    titles, arrays = codecs.decode_bundle(parts.bundle)
    if len(titles) != manifest.titles:
        raise SnapshotError(f"snapshot {version!r} has {len(titles)} titles; its manifest says {manifest.titles}")
    return Snapshot(manifest, Catalogue(titles), arrays)


def _read_manifest(blob: bytes, what: str) -> Manifest:
    try:
        manifest = msgspec.json.decode(blob, type=Manifest)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"the manifest of {what} cannot be read: {error}") from None
    if manifest.format > MANIFEST_VERSION:
        raise SnapshotError(f"{what} has format {manifest.format}; this code reads up to format {MANIFEST_VERSION}")
    return manifest


class SnapshotStore:
    """Snapshots of one namespace in Redis."""

    def __init__(self, client: redis.Redis, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def pointer(self, arm: str) -> Pointer:
        """What the arm points at; both None before the first publish."""
        fields = [keys.CURRENT_FIELD, keys.PREVIOUS_FIELD]
        current, previous = cast("list[bytes | None]", self._client.hmget(keys.pointer(self._namespace, arm), fields))
        return Pointer(current.decode() if current else None, previous.decode() if previous else None)

    def flip(self, arm: str, version: str) -> Pointer:
        """Let an arm serve a version, in one atomic step; what it served becomes the previous one. Repeating it changes nothing.

        Raises
        ------
        SnapshotError : the version is not there as a whole.
        """
        self.manifest(version)
        self._client.eval(_FLIP, 1, keys.pointer(self._namespace, arm), version)
        return self.pointer(arm)

    def rollback(self, arm: str) -> Pointer:
        """Let an arm serve the version it served before.

        Raises
        ------
        SnapshotError : there is none, or it is no longer whole.
        """
        previous = self.pointer(arm).previous
        if previous is None:
            raise SnapshotError(f"arm {arm!r} has no earlier snapshot to roll back to")
        return self.flip(arm, previous)

    def write_bundle(self, version: str, blob: bytes) -> None:
        """Write the shared part of a new version."""
        self._client.set(keys.snapshot(self._namespace, version, BUNDLE_PART), blob)

    def write_manifest(self, manifest: Manifest) -> None:
        """Declare a version whole: written last, once everything was read back."""
        key = keys.snapshot(self._namespace, manifest.version, MANIFEST_PART)
        self._client.set(key, msgspec.json.encode(manifest))

    def manifest(self, version: str) -> Manifest:
        """The manifest of a version.

        Raises
        ------
        SnapshotError : the version is not there as a whole, or was written by a newer Marquee.
        """
        return _read_manifest(self._manifest_blob(version), f"snapshot {version!r}")

    def _manifest_blob(self, version: str) -> bytes:
        blob = self._part(version, MANIFEST_PART)
        if blob is None:
            raise SnapshotError(f"snapshot {version!r} is not in Redis, or was never completed")
        return blob

    def load(self, version: str) -> Snapshot:
        """Read the shared part of a version, verified against its manifest.

        Raises
        ------
        SnapshotError : it is missing, incomplete, corrupt or newer than this code.
        """
        return opened(self.parts(version))

    def parts(self, version: str) -> Parts:
        """The shared part of a version as it is stored.

        Raises
        ------
        SnapshotError : it is missing or incomplete.
        """
        manifest = self._manifest_blob(version)
        bundle = self._part(version, BUNDLE_PART)
        if bundle is None:
            raise SnapshotError(f"snapshot {version!r} has no bundle")
        return Parts(manifest, bundle)

    def _part(self, version: str, part: str) -> bytes | None:
        return cast("bytes | None", self._client.get(keys.snapshot(self._namespace, version, part)))

    def retire(self, version: str, expire_s: int) -> None:
        """Let the shared part of a version expire; its candidates are the publish job's to expire, first."""
        for part in (MANIFEST_PART, BUNDLE_PART):
            self._client.expire(keys.snapshot(self._namespace, version, part), expire_s)


_FLIP = """
local current = redis.call('HGET', KEYS[1], 'current')
if current == ARGV[1] then return 0 end
if current then redis.call('HSET', KEYS[1], 'previous', current) end
redis.call('HSET', KEYS[1], 'current', ARGV[1])
return 1
"""


def new_version(suffix: str) -> str:
    """A version name that sorts by time: `20250131T235959.123Z-<suffix>`."""
    now_ms = time.time_ns() // 1_000_000
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ms // 1000))
    return f"{stamp}.{now_ms % 1000:03d}Z-{suffix}"
