"""Packs histories into rows of one length, several short ones in a row, so that hardly any position is padding."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import torch

from offline.interactions import Int64Array
from offline.models.sequence.histories import Histories


class Spans(NamedTuple):
    """Stretches of histories, each of which becomes one sequence: places in the flat plays, `(spans,)` both."""

    start: Int64Array
    stop: Int64Array

    @property
    def lengths(self) -> Int64Array:
        """Plays of each, `(spans,)`."""
        return self.stop - self.start

    def take(self, chosen: Int64Array) -> "Spans":
        """Some of them, in the order of `chosen`."""
        return Spans(self.start[chosen], self.stop[chosen])


class Batch(NamedTuple):
    """Sequences packed into rows; all are `(rows, width)` tensors.

    `titles` is what is seen: a title's index, -1 where a sequence begins, and at padding. `targets` is what comes next, -1
    where nothing does. `sequence` numbers the sequences, -1 at padding. `gaps` are buckets and `shares` numbers told of each
    play; see `Histories`.
    """

    titles: torch.Tensor
    targets: torch.Tensor
    sequence: torch.Tensor
    gaps: torch.Tensor
    shares: torch.Tensor

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return type(self)(*(each.to(device) for each in self))


def newest(histories: Histories, length: int) -> Spans:
    """Each member's newest plays, at most `length`; of a member without any an empty span."""
    stop = histories.start[1:]
    return Spans(np.maximum(histories.start[:-1], stop - length), stop)


def windows(histories: Histories, length: int, random: np.random.Generator) -> Spans:
    """All plays: each history in windows of at most `length`, the first of them cut at a place drawn where it is longer."""
    lengths = histories.lengths
    first = np.where(lengths > length, random.integers(1, length + 1, len(lengths)), lengths)
    count = np.where(lengths > 0, 1 + -(-(lengths - first) // length), 0)  # windows of each member
    member = np.repeat(np.arange(len(lengths)), count)
    number = np.arange(len(member)) - np.repeat(np.cumsum(count) - count, count)
    offset = first[member] + (number - 1) * length  # where each window begins, but for the first, which begins at 0
    start = histories.start[member] + np.where(number == 0, 0, offset)
    stop = histories.start[member] + np.minimum(offset + length, lengths[member])
    return Spans(start, stop)


def rows_of(lengths: Int64Array, width: int) -> Int64Array:
    """Row of each sequence when rows of `width` positions are filled in order, and what does not fit begins the next one."""
    ends = np.cumsum(lengths)
    row = np.empty(len(lengths), np.int64)
    first = number = before = 0
    while first < len(lengths):
        stop = int(np.searchsorted(ends, before + width, side="right"))
        row[first:stop] = number
        first, number, before = stop, number + 1, int(ends[stop - 1])
    return row


def lay_out(histories: Histories, spans: Spans, row: Int64Array, width: int, *, see_last: bool) -> Batch:
    """Lay sequences into rows; each begins with a position that sees nothing.

    Parameters
    ----------
    row : `(spans,)` row of each, ascending from 0.
    width : positions of a row.
    see_last : whether a span's last play is seen, to recommend from it, or only there to be predicted, to train on.
    """
    lengths = spans.lengths + (1 if see_last else 0)
    rows = int(row[-1]) + 1 if len(row) else 0
    before = np.cumsum(lengths) - lengths
    column = before - before[np.searchsorted(row, np.arange(rows))][row]  # where each begins in its row
    sequence = np.repeat(np.arange(len(row)), lengths)  # (positions,)
    place = np.arange(len(sequence)) - before[sequence]
    cell = row[sequence] * width + column[sequence] + place
    play = spans.start[sequence] + place  # the play that comes after each position
    seen, known = place > 0, play < spans.stop[sequence]
    titles, targets, numbers, gaps = (np.full(rows * width, fill, np.int64) for fill in (-1, -1, -1, 0))
    shares = np.zeros(rows * width, np.float32)
    numbers[cell] = sequence
    titles[cell[seen]] = histories.titles[play[seen] - 1]
    gaps[cell[seen]] = histories.gaps[play[seen] - 1]
    shares[cell[seen]] = histories.shares[play[seen] - 1]
    targets[cell[known]] = histories.titles[play[known]]
    return Batch(*(torch.from_numpy(each.reshape(rows, width)) for each in (titles, targets, numbers, gaps, shares)))


def epoch(histories: Histories, width: int, positions: int, parts: int, random: np.random.Generator) -> Iterator[list[Batch]]:
    """Yield all plays once, in random order: batches of about `positions`, each in up to `parts` parts of equal size."""
    spans = windows(histories, width, random)
    spans = spans.take(random.permutation(len(spans.start)))
    row = rows_of(spans.lengths, width)
    rows_a_part = max(1, positions // (width * parts))
    edges = np.searchsorted(row, np.arange(0, row[-1] + 1 + rows_a_part, rows_a_part))
    for first in range(0, len(edges) - 1, parts):
        batch = []
        for low, high in zip(edges[first : first + parts], edges[first + 1 : first + parts + 1], strict=False):
            chosen = Spans(spans.start[low:high], spans.stop[low:high])
            batch.append(lay_out(histories, chosen, row[low:high] - row[low], width, see_last=False))
        yield batch
