"""The last plays of some members, held out of training to tell when it has gone on for long enough."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse

from offline.interactions import BoolArray, Int64Array
from offline.models.sequence.batches import newest
from offline.models.sequence.encoding import encode
from offline.models.sequence.histories import Histories
from offline.models.sequence.network import Encoder
from offline.models.topk import top_k

FEWEST = 50
"""Members below which a metric says too little to end training by."""

DEPTH = 10
MOST_OF_PLAYS = 50


class Holdout(NamedTuple):
    """Histories without their last play, which is `targets`, `(members,)`; `played`, `(titles,)`, are those to choose from."""

    histories: Histories
    targets: Int64Array
    played: BoolArray

    def ndcg(self, encoder: Encoder, vectors: torch.Tensor, max_length: int) -> float:
        """NDCG@10 of the held-out plays among all titles with plays that the members have not seen."""
        device = vectors.device
        spans = newest(self.histories, max_length - 1)
        hidden = torch.from_numpy(encode(encoder, vectors, self.histories, spans)).to(device)
        start, titles = self.histories.start, self.histories.titles.copy()  # whoever sorts the matrix sorts what it is made of
        seen = sparse.csr_array((np.ones(len(titles), np.float32), titles, start), shape=(len(self.targets), len(vectors)))
        seen.sort_indices()
        allowed = torch.where(torch.from_numpy(self.played), 0.0, -torch.inf).to(device)  # (titles,)

        def score(rows: slice, columns: slice) -> torch.Tensor:
            return hidden[rows] @ vectors[columns].T + allowed[columns]  # (block, tile)

        best = top_k(score, len(self.targets), len(vectors), DEPTH, seen, device).titles  # (members, 10)
        _, place = np.nonzero(best == self.targets[:, None])
        return float((1.0 / np.log2(place + 2.0)).sum() / len(self.targets))


def hold_out(histories: Histories, played: BoolArray, most: int, random: np.random.Generator) -> tuple[Histories, Holdout | None]:
    """Part the last plays of some members, at most `most`, from all others.

    Only members with three plays or more are taken, and not more than make up a fiftieth of all plays. Where those would be
    too few to tell anything, nothing is held out.

    Returns
    -------
    What to train on, and what to validate on.
    """
    able = np.flatnonzero(histories.lengths >= 3)
    count = min(most, len(able), len(histories.titles) // MOST_OF_PLAYS)
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
    return histories.where(kept), Holdout(replace(members, start=start), targets, played)
