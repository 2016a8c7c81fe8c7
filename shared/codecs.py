"""Numbers and tables to bytes for Redis: a version byte, a CRC-32 of what follows, then the content.

A blob that was cut short, altered, or written by a newer version raises `SnapshotError`; it is never half read.
"""

import zlib
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from shared.errors import SnapshotError
from shared.titles import Title

CANDIDATES_VERSION = 1
BUNDLE_VERSION = 2
OLDEST_BUNDLE = 1
"""Version 1 had no tags and origins of titles, which come last and may be missing."""

_HEADER_BYTES = 5


def seal(version: int, body: bytes) -> bytes:
    """Put version and checksum before some content."""
    return bytes((version,)) + zlib.crc32(body).to_bytes(4, "big") + body


def unseal(blob: bytes, version: int, what: str, oldest: int | None = None) -> memoryview:
    """The content that `seal` closed.

    Parameters
    ----------
    oldest : the first version that can still be read; None for `version` alone.

    Raises
    ------
    SnapshotError : the blob is cut short, altered or of another version; begins with `what`.
    """
    if len(blob) < _HEADER_BYTES:
        raise SnapshotError(f"{what}: {len(blob)} bytes are too few")
    if not (version if oldest is None else oldest) <= blob[0] <= version:
        read = f"version {version}" if oldest is None else f"versions {oldest} to {version}"
        raise SnapshotError(f"{what} has version {blob[0]}; this code reads {read}")
    body = memoryview(blob)[_HEADER_BYTES:]
    if zlib.crc32(body) != int.from_bytes(blob[1:_HEADER_BYTES], "big"):
        raise SnapshotError(f"{what}: the checksum of its {len(body)} bytes does not match")
    return body


def checksum(blob: bytes) -> int:
    """The CRC-32 that a sealed blob carries."""
    return int.from_bytes(blob[1:_HEADER_BYTES], "big")


def encode_candidates(titles: npt.NDArray[np.int32], scores: npt.NDArray[np.float32]) -> bytes:
    """One member's candidates, best first.

    Parameters
    ----------
    titles : (k,) int32 title indices of the snapshot.
    scores : (k,) float32, not increasing.
    """
    return seal(CANDIDATES_VERSION, titles.astype("<i4").tobytes() + scores.astype("<f4").tobytes())


def decode_candidates(blob: bytes) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Read what `encode_candidates` wrote: title indices (k,) int32 and scores (k,) float32, as read-only views.

    Raises
    ------
    SnapshotError : the blob is corrupt or of another version.
    """
    body = unseal(blob, CANDIDATES_VERSION, "a member's candidates")
    if len(body) % 8:
        raise SnapshotError(f"a member's candidates: {len(body)} bytes are no pairs of int32 and float32")
    count = len(body) // 8
    return np.frombuffer(body, "<i4", count), np.frombuffer(body, "<f4", count, offset=4 * count)


class _StoredTitle(msgspec.Struct, array_like=True):
    title_id: str
    name: str
    genres: list[str]
    runtime_s: float
    released_ms: int | None
    countries: list[str]
    maturity: str | None
    tags: list[str] = []
    origin: str | None = None


class _StoredArray(msgspec.Struct, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


class _StoredBundle(msgspec.Struct):
    titles: list[_StoredTitle]
    arrays: dict[str, _StoredArray]


_ENCODER = msgspec.msgpack.Encoder()
_BUNDLE_DECODER = msgspec.msgpack.Decoder(_StoredBundle)


def encode_bundle(titles: list[Title], arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    """What all members of a snapshot share: the titles in index order, and named numeric arrays."""
    bundle = _StoredBundle(
        titles=[
            _StoredTitle(
                t.title_id,
                t.name,
                list(t.genres),
                t.runtime_s,
                t.released_ms,
                list(t.countries),
                t.maturity,
                list(t.tags),
                t.origin,
            )
            for t in titles
        ],
        arrays={
            name: _StoredArray(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())
            for name, array in sorted(arrays.items())
        },
    )
    return seal(BUNDLE_VERSION, _ENCODER.encode(bundle))


def decode_bundle(blob: bytes) -> tuple[list[Title], dict[str, npt.NDArray[Any]]]:
    """Read what `encode_bundle` wrote, of this version or an older one; the arrays are read-only views of the blob.

    Raises
    ------
    SnapshotError : the blob is corrupt or of another version.
    """
    body = unseal(blob, BUNDLE_VERSION, "a snapshot's bundle", OLDEST_BUNDLE)
    try:
        bundle = _BUNDLE_DECODER.decode(body)
        arrays = {name: np.frombuffer(stored.data, stored.dtype).reshape(stored.shape) for name, stored in bundle.arrays.items()}
    except (msgspec.DecodeError, ValueError, TypeError) as error:
        raise SnapshotError(f"a snapshot's bundle cannot be read: {error}") from None
    titles = [
        Title(
            t.title_id,
            t.name,
            tuple(t.genres),
            t.runtime_s,
            t.released_ms,
            tuple(t.countries),
            t.maturity,
            tuple(t.tags),
            t.origin,
        )
        for t in bundle.titles
    ]
    return titles, arrays
