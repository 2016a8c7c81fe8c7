"""What training minimises: the cross-entropy of each next title, over all titles or over a sample where they are too many."""

import math

import numpy as np
import numpy.typing as npt
import torch

from offline.models.sequence.batches import Batch
from offline.models.sequence.loss import catalogue_cross_entropy
from offline.models.sequence.network import Encoder, Titles


class Objective:
    """The loss of one part of a batch, and its gradients.

    Parameters
    ----------
    played : `(titles,)` whether a title has plays: those without are no rivals, for they would only learn to be scored low.
    limit : the most titles that a loss is over; of more, the targets and a sample stand for all.
    dtype : of the loss' products.
    """

    def __init__(self, played: npt.NDArray[np.bool_], limit: int, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._rivals = torch.from_numpy(np.flatnonzero(played)).to(device)  # (rivals,)
        self._sampled = limit if len(self._rivals) > limit else 0
        self._all = len(self._rivals) == len(played)
        self._place = torch.full((len(played),), -1, dtype=torch.int64, device=device)
        self._place[self._rivals] = torch.arange(len(self._rivals), device=device)

    def __call__(self, encoder: Encoder, titles: Titles, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """Sum of the losses of all positions that have a target."""
        vectors = titles()  # (titles, dim)
        known = batch.targets >= 0
        # On a processor the encoder's small products are no faster for being in bfloat16, with what it takes to convert.
        with torch.autocast("cuda", torch.bfloat16, enabled=known.is_cuda and self._dtype is torch.bfloat16):
            hidden = encoder(batch, vectors, random)[known].float()  # (positions, dim)
        targets = batch.targets[known]  # (positions,)
        if self._sampled:
            rivals, targets, offsets = self._sample(targets, random)
            return catalogue_cross_entropy(hidden, vectors[rivals], targets, offsets, self._dtype)
        if not self._all:
            return catalogue_cross_entropy(hidden, vectors[self._rivals], self._place[targets], None, self._dtype)
        return catalogue_cross_entropy(hidden, vectors, targets, None, self._dtype)

    def _sample(self, targets: torch.Tensor, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Titles to take the loss over, the targets' places among them, and what to add to each one's logit.

        All targets, and a sample of the others, each of which stands for as many as were not drawn: the sum of exponentials
        over all titles is met on average (importance sampling).
        """
        certain, places = targets.unique(return_inverse=True)  # type: ignore[no-untyped-call]  # (certain,), (positions,)
        others = len(self._rivals) - len(certain)
        drawn = torch.randint(len(self._rivals), (self._sampled,), generator=random, device=targets.device)
        drawn = self._rivals[drawn]
        drawn = drawn[~torch.isin(drawn, certain)]
        rivals = torch.cat([certain, drawn])
        offsets = torch.zeros(len(rivals), device=targets.device)
        offsets[len(certain) :] = math.log(max(1, others) / max(1, len(drawn)))
        return rivals, places, offsets
