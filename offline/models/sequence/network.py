"""The networks: titles' vectors, and the encoder that makes of a history the vector to multiply them with.

A pre-norm transformer with causal attention (Kang and McAuley 2018, "Self-attentive sequential recommendation"), with rotary
positions, RMS norms and gated feed-forward layers (SwiGLU); what is seen and what is predicted share their vectors.
`shared.sequence_inference` makes the same forward pass without torch.
"""

from typing import cast

import numpy as np
import torch
from scipy import sparse
from torch import nn
from torch.nn import functional as F

from offline.models.sequence.batches import Batch
from offline.models.sequence.settings import SequenceSettings
from shared.sequence_inference import GAPS, NORM_EPSILON, rotations

SPREAD = 0.02
"""Standard deviation of the first weights."""


class Titles(nn.Module):
    """Vectors of titles: one of each title's own, plus the mean of its features' where there are any.

    Parameters
    ----------
    played : `(titles,)` whether there is anything to learn a title's own vector from; it stays zero where not, so that a
        title without plays is where its features put it.
    features : `(titles, features)` CSR, a stored entry for each feature that a title has; None for none.
    """

    def __init__(self, dim: int, played: torch.Tensor, features: "sparse.csr_array[np.float32] | None") -> None:
        super().__init__()
        self.own = nn.Parameter(torch.randn(len(played), dim) * SPREAD * played[:, None])
        self.of_features: nn.Parameter | None = None
        if features is not None:
            self.of_features = nn.Parameter(torch.randn(features.shape[1], dim) * SPREAD)
            self.register_buffer("feature", torch.from_numpy(features.indices.astype(np.int64)), persistent=False)
            self.register_buffer("first", torch.from_numpy(features.indptr.astype(np.int64)), persistent=False)

    def forward(self) -> torch.Tensor:
        """All titles' vectors, `(titles, dim)`."""
        if self.of_features is None:
            return self.own
        feature, first = cast("torch.Tensor", self.feature), cast("torch.Tensor", self.first)
        mean = F.embedding_bag(feature, self.of_features, first, mode="mean", include_last_offset=True)  # (titles, dim)
        return self.own + mean


class Encoder(nn.Module):
    """Gives at each position the vector of what comes next."""

    def __init__(self, settings: SequenceSettings) -> None:
        super().__init__()
        self._dropout = settings.dropout
        self._width = settings.dim // settings.heads
        self.begin = nn.Parameter(torch.randn(settings.dim) * SPREAD)
        self.gaps = nn.Parameter(torch.zeros(GAPS, settings.dim)) if settings.use_gaps else None
        self.share = nn.Parameter(torch.zeros(settings.dim)) if settings.use_shares else None
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.layers))
        self.norm = nn.RMSNorm(settings.dim, eps=NORM_EPSILON)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=SPREAD)

    def forward(self, batch: Batch, vectors: torch.Tensor, random: torch.Generator | None = None) -> torch.Tensor:
        """Encode packed sequences.

        Parameters
        ----------
        vectors : `(titles, dim)` as `Titles` gives them.
        random : of the dropout; None drops nothing.

        Returns
        -------
        `(rows, width, dim)`.
        """
        seen = (batch.titles >= 0)[:, :, None]
        x = F.embedding(batch.titles.clamp(min=0), vectors)  # (rows, width, dim)
        x = torch.where(seen, x, self.begin) * x.shape[2] ** 0.5
        if self.gaps is not None:
            x = x + seen * F.embedding(batch.gaps, self.gaps)
        if self.share is not None:
            x = x + batch.shares[:, :, None] * self.share
        x = dropped(x, self._dropout, random)
        width = x.shape[1]
        together = batch.sequence[:, :, None] == batch.sequence[:, None, :]
        causal = torch.ones(width, width, dtype=torch.bool, device=x.device).tril()
        # Attention on a processor is fused only where the mask is one of numbers.
        mask = torch.where((together & causal)[:, None], 0.0, -torch.inf)  # (rows, 1, width, width)
        cosine, sine = (torch.from_numpy(each).to(x.device) for each in rotations(width, self._width))
        for block in self.blocks:
            x = block(x, mask, cosine, sine, random)
        normalised: torch.Tensor = self.norm(x)
        return normalised


class _Block(nn.Module):
    def __init__(self, settings: SequenceSettings) -> None:
        super().__init__()
        self._dropout = settings.dropout
        self.before_attention = nn.RMSNorm(settings.dim, eps=NORM_EPSILON)
        self.attention = _Attention(settings.dim, settings.heads)
        self.before_gated = nn.RMSNorm(settings.dim, eps=NORM_EPSILON)
        self.gated = _Gated(settings.dim, 2 * settings.dim)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, random: torch.Generator | None
    ) -> torch.Tensor:
        x = x + dropped(self.attention(self.before_attention(x), mask, cosine, sine), self._dropout, random)
        return x + dropped(self.gated(self.before_gated(x)), self._dropout, random)


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
        rows, width, dim = x.shape
        projected = self.project(x).view(rows, width, 3, self._heads, dim // self._heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # (rows, heads, width, dim / heads) each
        query, key = _turned(query, cosine, sine), _turned(key, cosine, sine)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(rows, width, dim))
        return out


class _Gated(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(dim, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, carried = self.up(x).chunk(2, dim=-1)  # (rows, width, hidden) both
        down: torch.Tensor = self.down(F.silu(gate) * carried)
        return down


def dropped(values: torch.Tensor, share: float, random: torch.Generator | None) -> torch.Tensor:
    """Drop out a share, to the nearest 1/256, drawing from a generator of one's own, so that threads cannot disturb it."""
    level = round(share * 256)
    if random is None or level == 0:
        return values
    # A byte of chance for each value, eight to a draw: a draw for each took as long as the matrix products.
    draws = torch.empty(-(-values.numel() // 8), dtype=torch.int64, device=values.device)
    chance = draws.random_(-(2**63), None, generator=random).view(torch.uint8)[: values.numel()].view(values.shape)
    return values * (chance >= level).to(values.dtype).mul_(256 / (256 - level))


def _turned(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=-1)
