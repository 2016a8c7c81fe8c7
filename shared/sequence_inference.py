"""Vectors of members from their newest plays, by a trained sequence transformer's weights. Pure numpy.

The same forward pass as the offline model's (`offline.models.sequence.network`), for a few short histories at a time and
without torch: what the offline model gives as `inference_arrays` comes in, vectors to multiply titles' vectors with go out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from shared.errors import SnapshotError

FloatArray = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

GAPS = 20
"""Buckets of the time between plays."""

NORM_EPSILON = 1e-6
ROTATION_BASE = 1000.0


class Plays(NamedTuple):
    """One member's plays, the oldest first: title indices (n,), times (n,) or None, and weights (n,) above 0."""

    titles: npt.NDArray[np.integer[Any]]
    at_ms: Int64Array | None
    weights: FloatArray


def gap_buckets(gap_ms: Int64Array) -> Int64Array:
    """Bucket of each gap: 0 up to a second, then one for each power of 3 of seconds; the last begins at 12 years."""
    seconds = np.maximum(gap_ms, 0) / 1000.0
    buckets: Int64Array = np.minimum(np.log(np.maximum(seconds, 1.0)) / np.log(3.0), GAPS - 1).astype(np.int64)
    return buckets


def rotations(length: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines, `(length, width / 2)` both, that turn a head's queries and keys by their place.

    Su et al. (2021), "RoFormer" (arXiv 2104.09864): products of turned vectors depend on how far apart they are alone.
    """
    half = width // 2
    angle = np.arange(length)[:, None] * ROTATION_BASE ** -(np.arange(half) / half)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


class SequenceInference:
    """One trained encoder. Never changed after it is built.

    Parameters
    ----------
    arrays : as `SequenceModel.inference_arrays` gives them; a few weights a layer, `title_vectors` (titles, dim) float32,
        and `shape`: layers, heads, the longest history, and the mean weight of a play.

    Raises
    ------
    SnapshotError : an array is missing.
    """

    def __init__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        try:
            layers, heads, length, self._mean_weight = arrays["shape"].tolist()
            self._layers, self._heads, self.max_length = int(layers), int(heads), int(length)
            self.title_vectors: FloatArray = arrays["title_vectors"]
            self._begin: FloatArray = arrays["begin"]
            self._norm: FloatArray = arrays["norm.weight"]
            self._gaps: FloatArray | None = arrays.get("gaps")
            self._share: FloatArray | None = arrays.get("share")
            self._blocks = [_Block.of(arrays, number) for number in range(self._layers)]
        except KeyError as error:
            raise SnapshotError(f"the sequence encoder lacks the array {error}") from None

    def vectors(self, histories: Sequence[Plays]) -> FloatArray:
        """The vectors of some members, `(members, dim)` float32; of a history without plays it is all zero."""
        vectors = np.zeros((len(histories), len(self._begin)), np.float32)
        for row, plays in enumerate(histories):
            if len(plays.titles):
                vectors[row] = self._vector(plays)
        return vectors

    def _vector(self, plays: Plays) -> FloatArray:
        newest = slice(max(0, len(plays.titles) - self.max_length), None)
        scale = np.float32(len(self._begin) ** 0.5)
        x = self.title_vectors[plays.titles[newest]] * scale  # (plays, dim)
        if self._gaps is not None and plays.at_ms is not None:
            bucket = gap_buckets(np.diff(plays.at_ms, prepend=plays.at_ms[:1]))
            x = x + self._gaps[bucket[newest]]
        if self._share is not None:
            x = x + np.log1p(plays.weights[newest] / np.float32(self._mean_weight))[:, None] * self._share
        x = np.concatenate([self._begin[None] * scale, x])  # (1 + plays, dim)
        turn = rotations(len(x), x.shape[1] // self._heads)
        for block in self._blocks:
            x = block.forward(x, self._heads, turn)
        return _normalised(x[-1], self._norm)


class _Block(NamedTuple):
    """The weights of one layer."""

    before_attention: FloatArray
    project: FloatArray
    out: FloatArray
    before_gated: FloatArray
    up: FloatArray
    down: FloatArray

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[Any]], number: int) -> Self:
        names = ("before_attention", "attention.project", "attention.out", "before_gated", "gated.up", "gated.down")
        return cls(*(arrays[f"blocks.{number}.{name}.weight"] for name in names))

    def forward(self, x: FloatArray, heads: int, turn: tuple[FloatArray, FloatArray]) -> FloatArray:
        length, dim = x.shape
        projected = _normalised(x, self.before_attention) @ self.project.T  # (length, 3 dim)
        query, key, value = projected.reshape(length, 3, heads, dim // heads).transpose(1, 2, 0, 3)  # (heads, length, width)
        logits = _turned(query, *turn) @ _turned(key, *turn).transpose(0, 2, 1)  # (heads, length, length)
        logits *= np.float32((dim // heads) ** -0.5)
        logits[:, ~np.tri(length, dtype=np.bool_)] = -np.inf
        shares = np.exp(logits - logits.max(axis=2, keepdims=True))
        shares /= shares.sum(axis=2, keepdims=True)
        x = x + (shares @ value).transpose(1, 0, 2).reshape(length, dim) @ self.out.T
        gate, carried = np.split(_normalised(x, self.before_gated) @ self.up.T, 2, axis=1)  # (length, hidden) both
        gated: FloatArray = x + (gate / (1.0 + np.exp(-gate)) * carried) @ self.down.T
        return gated


def _turned(x: FloatArray, cosine: FloatArray, sine: FloatArray) -> FloatArray:
    left, right = np.split(x, 2, axis=-1)
    return np.concatenate([left * cosine - right * sine, left * sine + right * cosine], axis=-1)


def _normalised(x: FloatArray, weight: FloatArray) -> FloatArray:
    """Divide each vector by its root mean square."""
    normalised: FloatArray = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(NORM_EPSILON)) * weight
    return normalised
