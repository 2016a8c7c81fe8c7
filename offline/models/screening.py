"""Titles' factors as small integers, whose products are found several times faster than those of floats, within a proven bound.

`Screen` lays titles out in tiles for `factor_topk`: u ≈ a p and v ≈ b q with integers p and q, so that uᵀv ≈ a b pᵀq, and
pᵀq is exact. (Teflioudi, Gemulla, Mykytiuk 2015, "LEMP", and Li, Chan, Yiu, Mamoulis 2017, "FEXIPRO", screen candidates of
exact inner-product search by such bounds.)
"""

import functools
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from offline.models.topk_kernels import WORD

FloatArray = npt.NDArray[np.float32]

TILE = 1024  # titles
STRATUM = 8 * TILE
"""Titles of about one norm, among which those of about one greatest factor come together."""
SAMPLE_SHARE, LEAST_SAMPLE = 8, 2048
ULP = 1e-9  # what float64 can take away from a norm, relative, and much more


class Arithmetic(NamedTuple):
    """How products of integers are made: of `dtype`, none of them greater than `levels`."""

    dtype: torch.dtype
    levels: int

    def product(self, left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Exact products of all pairs of rows, `(rows of left, rows of right)`."""
        if self.dtype == torch.int8:
            return torch._int_mm(left, right.T, out=out)
        return torch.mm(left, right.T, out=out)

    @property
    def product_type(self) -> torch.dtype:
        """What products are held in."""
        return torch.int32 if self.dtype == torch.int8 else torch.float32

    @property
    def padding(self) -> float:
        """Less than any product and any limit."""
        return -(2.0**31) if self.dtype == torch.int8 else -math.inf

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest limit that products can be compared with."""
        return (-(2.0**31) + 1, 2.0**31 - 1) if self.dtype == torch.int8 else (-1e38, 1e38)


@functools.cache
def arithmetic() -> Arithmetic:
    """The fastest arithmetic that is exact on this machine.

    Bytes are multiplied exactly by processors with VNNI. Those without add pairs of products in 16 bits, which is exact for
    numbers up to 63. Elsewhere floats do it: 127 has 7 bits, so that neither bfloat16 nor TF32 takes anything away.
    """
    if platform.machine() in ("x86_64", "AMD64") and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        for levels in (127, 63):
            signs = torch.tensor([[1, 1], [-1, -1], [1, -1]], dtype=torch.int8)
            extremes = (signs * levels).repeat(32, 32)  # (rows, factors)
            exact = extremes.int() @ extremes.int().T
            found = Arithmetic(torch.int8, levels)
            if torch.equal(found.product(extremes, extremes, torch.empty_like(exact)), exact):
                return found
    return Arithmetic(torch.float32, 127)


@dataclass(frozen=True)
class Tile:
    """Some titles: rows `start` to `stop` of the integers, of which `filled` are titles; the rest is padding.

    `scale` times the integers is near the titles' centred vectors, as near as `error`; none is longer than `length`.
    """

    start: int
    stop: int
    filled: int
    scale: float
    length: float
    error: float

    @property
    def width(self) -> int:
        """Rows, padding among them."""
        return self.stop - self.start


class Integers(NamedTuple):
    """Vectors as `scale` times integers: `(n, factors)` values, and `(n,)` float64 each of scales, errors and lengths."""

    values: FloatArray
    scale: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]


class Screen:
    """All titles in tiles.

    Attributes
    ----------
    center : `(factors,)` float32, the mean title. Vectors are taken from there: what all titles have in common adds the
        same to all scores of a member.
    sample : tiles of a share of the titles, evenly drawn from all norms. Their scores say from which score on a title
        may be among the best.
    rest : the tiles of all other titles, the longest first, by and large.
    integers : `(rows, factors)`; `title_of`, `(rows,)` int32, says whose they are, -1 for padding.
    """

    def __init__(self, titles: FloatArray, with_: Arithmetic) -> None:
        count, factors = titles.shape
        if with_.dtype == torch.float32:
            with_ = with_._replace(levels=min(with_.levels, math.isqrt(2**24 // factors)))  # sums stay exact
        self.arithmetic = with_
        self.center = titles.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = titles - self.center  # (titles, factors)
        self._rounding = float(np.abs(centred).max()) * 2.0**-24 * factors**0.5  # of a vector, by the subtraction
        norms = np.sqrt(np.einsum("nf,nf->n", centred, centred, dtype=np.float64))
        greatest = np.abs(centred).max(axis=1)
        order = np.argsort(-norms, kind="stable")
        step = max(1, count // max(LEAST_SAMPLE, count // SAMPLE_SHARE))
        sampled = np.zeros(count, bool)
        sampled[step // 2 :: step] = True
        self._parts: list[FloatArray] = []
        self._titles: list[npt.NDArray[np.int64]] = []
        self._rows = 0
        self.sample = [self._tile(centred, norms, part) for part in _parts(order[sampled], greatest)]
        self.rest = [self._tile(centred, norms, part) for part in _parts(order[~sampled], greatest)]
        self.integers = torch.from_numpy(np.concatenate(self._parts)).to(with_.dtype)  # (rows, factors)
        self.title_of = np.concatenate(self._titles).astype(np.int32)
        self.sampled = int(sampled.sum())
        del self._parts, self._titles

    def of_members(self, vectors: FloatArray) -> Integers:
        """Members' vectors `(n, factors)`, none of them all zero, as integers with a scale each."""
        scale = np.abs(vectors).max(axis=1) / np.float32(self.arithmetic.levels)  # (n,)
        scale = np.maximum(scale, np.finfo(np.float32).tiny)
        values = np.rint(vectors / scale[:, None])  # (n, factors)
        values = np.clip(values, -self.arithmetic.levels, self.arithmetic.levels)
        missing = vectors - values.astype(np.float64) * scale[:, None]
        error = np.sqrt(np.einsum("nf,nf->n", missing, missing)) * (1 + ULP)
        length = np.sqrt(np.einsum("nf,nf->n", values, values, dtype=np.float64)) * scale * (1 + ULP)
        return Integers(values, scale.astype(np.float64), error, length)

    def product(self, members: torch.Tensor, tile: Tile, room: torch.Tensor) -> torch.Tensor:
        """Integer products of members with a tile's titles, `(members, tile)`, in `room`; padding is below all of them."""
        out = room[: len(members) * tile.width].view(len(members), -1)
        self.arithmetic.product(members, self.integers[tile.start : tile.stop], out)
        if tile.filled < tile.width:
            out[:, tile.filled :] = self.arithmetic.padding
        return out

    def _tile(self, centred: FloatArray, norms: npt.NDArray[np.float64], titles: npt.NDArray[np.int64]) -> Tile:
        padding = -len(titles) % WORD
        vectors = centred[titles]
        scale = float(np.abs(vectors).max()) / self.arithmetic.levels
        values = np.rint(vectors / np.float32(scale)) if scale >= np.finfo(np.float32).tiny else np.zeros_like(vectors)
        missing = vectors - values.astype(np.float64) * scale
        error = float(np.sqrt(np.einsum("nf,nf->n", missing, missing).max()))
        self._parts.append(np.pad(values.clip(-self.arithmetic.levels, self.arithmetic.levels), ((0, padding), (0, 0))))
        self._titles.append(np.pad(titles, (0, padding), constant_values=-1))
        start, self._rows = self._rows, self._rows + len(titles) + padding
        length = float(norms[titles].max()) + self._rounding
        return Tile(start, self._rows, len(titles), scale, length * (1 + ULP), (error + self._rounding) * (1 + ULP))


def _parts(order: npt.NDArray[np.int64], greatest: FloatArray) -> Iterator[npt.NDArray[np.int64]]:
    """Cut titles, the longest first, into tiles of one scale: in none is a greatest factor less than half of another."""
    for start in range(0, len(order), STRATUM):
        stratum = order[start : start + STRATUM]
        stratum = stratum[np.argsort(-greatest[stratum], kind="stable")]
        begin = 0
        while begin < len(stratum):
            near = np.searchsorted(-greatest[stratum[begin:]], -greatest[stratum[begin]] / 2, side="right")
            stop = begin + max(1, min(TILE, int(near)))
            yield stratum[begin:stop]
            begin = stop
