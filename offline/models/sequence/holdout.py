"""The last plays of some members, held out of training to tell when it has gone on for long enough."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse

from offline.interactions import Int64Array
from offline.models.sequence.batches import newest
from offline.models.sequence.encoding import encode
from offline.models.sequence.histories import Histories
from offline.models.sequence.network import Encoder
from offline.models.topk import top_k

FEWEST = 50
"""Members below which a metric says too little to end training by."""

DEPTH = 10


class Holdout(NamedTuple):
    """Histories without their last play, which is `targets`, `(members,)`."""

    histories: Histories
    targets: Int64Array

    def ndcg(self, encoder: Encoder, vectors: torch.Tensor, max_length: int) -> float:
        """NDCG@10 of the held-out plays among all titles that the members have not seen."""
        device = vectors.device
        spans = newest(self.histories, max_length - 1)
        hidden = torch.from_numpy(encode(encoder, vectors, self.histories, spans)).to(device)
        start, titles = self.histories.start, self.histories.titles
        seen = sparse.csr_array((np.ones(len(titles), np.float32), titles, start), shape=(len(self.targets), len(vectors)))
        best = top_k(lambda r, c: hidden[r] @ vectors[c].T, *seen.shape, DEPTH, seen, device).titles  # (members, 10)
        _, place = np.nonzero(best == self.targets[:, None])
        return float((1.0 / np.log2(place + 2.0)).sum() / len(self.targets))


def hold_out(histories: Histories, most: int, random: np.random.Generator) -> tuple[Histories, Holdout | None]:
    """Part the last play of a tenth of the members, at most `most`, from all others.

    Only members with three plays or more are taken. Where those would be too few to tell anything, nothing is held out.

    Returns
    -------
    What to train on, and what to validate on.
    """
    able = np.flatnonzero(histories.lengths >= 3)
    count = min(most, len(able) // 10)
    if count < FEWEST:
        return histories, None
    chosen = np.sort(random.choice(able, count, replace=False))
    last = histories.start[1:][chosen] - 1
    kept = np.ones(len(histories.titles), np.bool_)
    kept[last] = False
    targets = histories.titles[last]
    of_chosen = np.repeat(np.isin(np.arange(len(histories.lengths)), chosen), histories.lengths)
    members = histories.where(kept & of_chosen)
    start = np.append(members.start[:-1][chosen], members.start[-1])
    rest = Histories(start, members.titles, members.gaps, members.shares, members.in_order)
    return histories.where(kept), Holdout(rest, targets)
