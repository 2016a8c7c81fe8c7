"""Compiled steps of `factor_topk`: which cells of a tile reach a threshold, and the exact products of those.

A tile's scores are compared 64 at a time, giving a word with a bit for each: reading a tile then costs about as much as
loading it (measured: 3.6 µs for 50,000 scores; a loop over groups of 32 that LLVM vectorises 11.8 µs, maxima of groups 24 µs).
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils as untyped_cgutils
from numba.extending import intrinsic

cgutils: Any = untyped_cgutils

WORD = 64
"""Widths of tiles are multiples of this."""

CACHE_LINE_FLOATS = 16
BINS = 256
ROUNDING, TINY = 2.0**-20, 1e-37  # more than float32 takes away from a score or a bound, relative and near 0


class Reach(NamedTuple):
    """What of a block of members decides from which score on a title is looked at; each `(members,)` float64.

    `least` is the score that a title must be able to have. A member's vector is `scale` times small integers, as near as
    `error` (Euclidean); `length` is the norm of those integers times `scale`.
    """

    least: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]


class Found(NamedTuple):
    """Titles that may be among the best, in no order: `(members, room)`, of which the first `counts`, `(members,)`, hold."""

    titles: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]  # approximate
    bounds: npt.NDArray[np.float32]  # what the score is at most
    counts: npt.NDArray[np.int64]  # beyond `room` where titles were left out for lack of it

    def rows(self, members: int) -> "Found":
        """The first `members` rows, sharing memory."""
        return Found(self.titles[:members], self.scores[:members], self.bounds[:members], self.counts[:members])


def _reaching_code(typing_context: Any, tile: Any, row: Any, column: Any, limit: Any) -> Any:
    """A word whose bit j says whether `tile[row, column + j] >= limit`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, array, list(arguments[1:3]), wraparound=False)
        vector, number = ir.VectorType(context.get_value_type(kind.dtype), WORD), ir.IntType(32)
        scores = builder.load(builder.bitcast(place, vector.as_pointer()), align=4)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, arguments[3], ir.Constant(number, 0))
        limits = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(number, WORD), [0] * WORD))
        compare = builder.icmp_signed if isinstance(kind.dtype, types.Integer) else builder.fcmp_ordered
        return builder.bitcast(compare(">=", scores, limits), ir.IntType(WORD))

    return types.uint64(tile, types.intp, types.intp, tile.dtype), generate


def _lowest_bit_code(typing_context: Any, word: Any) -> Any:
    """The position of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


def _prefetch_code(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask for `array[row, column]` to be brought into the cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        table = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, table, list(arguments[1:3]), wraparound=False)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, call, "llvm.prefetch.p0")
        builder.call(prefetch, [builder.bitcast(place, byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


_reaching: Any = intrinsic(_reaching_code)
_lowest_bit: Any = intrinsic(_lowest_bit_code)
_prefetch: Any = intrinsic(_prefetch_code)
_compiled: Any = numba.njit(nogil=True, cache=True, error_model="numpy")
_compiled_in_any_order: Any = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@_compiled
def group_maxima(tile, scale, group, start, maxima):  # type: ignore[no-untyped-def]  # compiled
    """Write the maxima of groups of `group` scores, times `scale`, to `maxima[:, start:]`."""
    groups = tile.shape[1] // group
    best = np.empty(groups, tile.dtype)
    for member in range(tile.shape[0]):
        best[:] = tile[member, :groups]
        for step in range(1, group):
            part = tile[member, step * groups : (step + 1) * groups]
            for place in range(groups):
                best[place] = part[place] if part[place] > best[place] else best[place]
        for place in range(groups):
            maxima[member, start + place] = best[place] * scale


@_compiled
def collect(tile, members, reach, tile_scale, tile_length, tile_error, first, lowest, highest, found):  # type: ignore[no-untyped-def]
    """Append the cells of a tile whose score may be `reach.least` or more.

    For u = ũ + e and v = ṽ + f, |uᵀv - ũᵀṽ| <= |e| |v| + |ũ| |f| by Cauchy and Schwarz.

    Parameters
    ----------
    tile : `(rows, columns)` products of small integers, ũᵀṽ / (member's scale · tile's scale).
    members : `(rows,)` which member of the block each row is.
    tile_length, tile_error : the greatest |v| and |f| in the tile.
    first : the number of the tile's first column.
    lowest, highest : the range of limits; padding is below it.
    """
    room = found.titles.shape[1]
    for row in range(tile.shape[0]):
        member = members[row]
        slack = reach.error[member] * tile_length + reach.length[member] * tile_error
        least, unit = reach.least[member] - slack, reach.scale[member] * tile_scale
        if unit > 0.0:
            limit = tile.dtype.type(min(max(np.ceil(least / unit), lowest), highest))
        else:
            limit = tile.dtype.type(lowest if least <= 0.0 else highest)
        count = found.counts[member]
        for start in range(0, tile.shape[1], WORD):
            word = _reaching(tile, row, start, limit)
            while word:
                if count < room:
                    column = start + np.int64(_lowest_bit(word))
                    score = tile[row, column] * unit
                    found.titles[member, count] = first + column
                    found.scores[member, count] = score
                    found.bounds[member, count] = score + slack
                count += 1
                word &= word - np.uint64(1)
        found.counts[member] = count


@_compiled
def leave_out(found, title_of, starts, titles, rows, marks, mark):  # type: ignore[no-untyped-def]  # compiled
    """Turn columns into titles, without padding (-1) and without what `titles[starts[row] : starts[row + 1]]` names.

    `marks` is `(titles,)` and free for use, as long as every call has greater marks, `mark + 1` and on.
    """
    for member in range(found.titles.shape[0]):
        mark += 1
        for entry in range(starts[rows[member]], starts[rows[member] + 1]):
            marks[titles[entry]] = mark
        count = 0
        for place in range(min(found.counts[member], found.titles.shape[1])):
            title = title_of[found.titles[member, place]]
            if title >= 0 and marks[title] != mark:
                found.titles[member, count] = title
                found.scores[member, count] = found.scores[member, place]
                found.bounds[member, count] = found.bounds[member, place]
                count += 1
        found.counts[member] = count


@_compiled
def _cut(scores, width):  # type: ignore[no-untyped-def]  # compiled
    """A number that at least `width` scores reach, and not many more; all do where they are fewer."""
    if len(scores) <= width:
        return -np.inf
    low, high = np.float64(scores.min()), np.float64(scores.max())
    if not low < high:
        return low
    bins = np.zeros(BINS + 1, np.int64)
    per_score = BINS / (high - low)
    for score in scores:
        bins[int((np.float64(score) - low) * per_score)] += 1
    bin, reaching = BINS, bins[BINS]
    while reaching < width:
        bin -= 1
        reaching += bins[bin]
    return low + (bin - 0.5) / per_score  # half a bin lower, so that rounding cannot leave out one that was counted


@_compiled_in_any_order
def _product(left, right):  # type: ignore[no-untyped-def]  # compiled
    total = 0.0
    for factor in range(len(left)):
        total += left[factor] * np.float64(right[factor])
    return total


@_compiled
def _key(score, title):  # type: ignore[no-untyped-def]  # compiled
    """An integer that is the smaller, the greater the float32 score is, and then the smaller the title is."""
    bits = np.int64(np.float32(score + 0.0).view(np.int32))
    if bits < 0:
        bits ^= 0x7FFFFFFF
    return (~bits << 32) | title


@_compiled
def rank_exactly(vectors, titles, width, offset, found, keys):  # type: ignore[no-untyped-def]  # compiled
    """Write the keys of all titles that can be among the best `width`, in no order.

    Those with the best approximate scores, `width` or more, are scored first. No other can come in whose bound is below the
    least exact score of these.

    Parameters
    ----------
    vectors, titles : `(members, factors)` and `(titles, factors)` float32.
    offset : `(members,)` float64, what approximate scores lack.
    keys : `(members, room)` int64, written to; the greatest number where there is nothing.
    """
    factors = titles.shape[1]
    chosen, others = np.empty(found.titles.shape[1], np.int64), np.empty(found.titles.shape[1], np.int64)
    vector = np.empty(factors, np.float64)
    for member in range(vectors.shape[0]):
        vector[:] = vectors[member]
        count, left = 0, 0
        cut = _cut(found.scores[member, : found.counts[member]], width)
        for place in range(found.counts[member]):
            if found.scores[member, place] >= cut:
                chosen[count] = found.titles[member, place]
                for factor in range(0, factors, CACHE_LINE_FLOATS):
                    _prefetch(titles, chosen[count], factor)
                count += 1
            else:
                others[left] = place
                left += 1
        least = np.inf
        for place in range(count):
            score = _product(vector, titles[chosen[place]])
            least = min(least, score)
            keys[member, place] = _key(score, chosen[place])
        least -= offset[member]
        least -= (abs(least) + abs(offset[member])) * ROUNDING + TINY
        begin = count
        for place in range(left):
            if found.bounds[member, others[place]] >= least:
                chosen[count] = found.titles[member, others[place]]
                for factor in range(0, factors, CACHE_LINE_FLOATS):
                    _prefetch(titles, chosen[count], factor)
                count += 1
        for place in range(begin, count):
            keys[member, place] = _key(_product(vector, titles[chosen[place]]), chosen[place])
        keys[member, count:] = np.iinfo(np.int64).max
