"""Cross-entropy over a whole catalogue, in memory that does not grow with it.

Wijmans et al. (2025), "Cut your losses in large-vocabulary language models" (arXiv 2411.09009): the logits are made a tile
at a time (some positions x some titles) and never kept; the backward pass needs only the log-sum-exp of each position, with
which a tile's probabilities are made again. Here the gradient is worked out along with the loss: where the catalogue fits
into one tile, its logits are then made once instead of twice.
"""

from typing import Any

import torch

POSITIONS = 256
TITLES = 16_384
"""Positions and titles of one tile: 16 MiB of float32 logits."""


def catalogue_cross_entropy(
    hidden: torch.Tensor,
    vectors: torch.Tensor,
    targets: torch.Tensor,
    offsets: torch.Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Sum over positions of -log softmax(hidden · vectorsᵀ + offsets) at the target.

    Parameters
    ----------
    hidden : `(positions, dim)` float32.
    vectors : `(titles, dim)` float32.
    targets : `(positions,)` int64 rows of `vectors`.
    offsets : `(titles,)` float32 added to the logits, such as what a sampled title stands for; no gradient.
    dtype : of the matrix products; sums and what is returned are float32.

    Returns
    -------
    torch.Tensor : a scalar, differentiable once in `hidden` and `vectors`.
    """
    loss: torch.Tensor = _CatalogueCrossEntropy.apply(hidden, vectors, targets, offsets, dtype)
    return loss


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        vectors: torch.Tensor,
        targets: torch.Tensor,
        offsets: torch.Tensor | None,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        wanted = any(ctx.needs_input_grad[:2])
        grad_hidden = torch.zeros_like(hidden) if wanted else None  # (positions, dim)
        grad_vectors = torch.zeros_like(vectors) if wanted else None  # (titles, dim)
        low = vectors.to(dtype) if len(vectors) <= TITLES else vectors  # a copy of more would grow with the catalogue
        loss = hidden.new_zeros((), dtype=torch.float64)
        for start in range(0, len(hidden), POSITIONS):
            rows = slice(start, start + POSITIONS)
            part, right = hidden[rows], vectors[targets[rows]]  # (block, dim) both
            shift = None if offsets is None else offsets[targets[rows]]
            logit = (part * right).sum(1)  # (block,)
            if shift is not None:
                logit += shift
            block = _Block(part.to(dtype), low, offsets)  # its tiles are brought to the type as they come
            loss += (block.log_sum - logit).sum()
            if grad_hidden is not None and grad_vectors is not None:
                grad_hidden[rows] = block.add_gradients(part, grad_vectors) - right
                grad_vectors.index_add_(0, targets[rows], part, alpha=-1)
        ctx.save_for_backward(grad_hidden, grad_vectors)
        return loss.float()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_hidden, grad_vectors = ctx.saved_tensors
        if gradients[0].item() != 1:  # as where the loss is what is differentiated; saves a copy of all
            grad_hidden, grad_vectors = grad_hidden * gradients[0], grad_vectors * gradients[0]
        return grad_hidden, grad_vectors, None, None, None


class _Block:
    """The softmax of some positions over all titles, a tile at a time."""

    def __init__(self, hidden: torch.Tensor, vectors: torch.Tensor, offsets: torch.Tensor | None) -> None:
        self._hidden, self._vectors, self._offsets = hidden, vectors, offsets
        self._tiles = [slice(start, start + TITLES) for start in range(0, len(vectors), TITLES)]
        self._greatest = hidden.new_full((len(hidden), 1), -torch.inf)  # (block, 1)
        self._sum = torch.zeros(len(hidden), 1, device=hidden.device)  # (block, 1)
        self._kept: torch.Tensor | None = None
        for tile in self._tiles:
            logits = self._logits(tile)  # (block, tile)
            greatest = torch.maximum(self._greatest, logits.amax(1, keepdim=True))
            self._sum *= (self._greatest - greatest).float().exp_()
            exponentials = logits.sub_(greatest).exp_()
            self._sum += exponentials.sum(1, keepdim=True, dtype=torch.float32)
            self._greatest = greatest
            self._kept = exponentials if len(self._tiles) == 1 else None

    @property
    def log_sum(self) -> torch.Tensor:
        """`(block,)` log-sum-exp of the logits."""
        return (self._sum.log() + self._greatest.float()).squeeze(1)

    def add_gradients(self, hidden: torch.Tensor, grad_vectors: torch.Tensor) -> torch.Tensor:
        """Add this block's share of the log-sum-exp's gradient to `grad_vectors`; returns that of `hidden`, `(block, dim)`."""
        scaled = (hidden / self._sum).to(self._hidden.dtype)  # (block, dim)
        grad = torch.zeros_like(hidden)
        for tile in self._tiles:
            exponentials = self._kept
            if exponentials is None:
                exponentials = self._logits(tile).sub_(self._greatest).exp_()  # (block, tile)
            grad += exponentials @ self._vectors[tile].to(exponentials.dtype)
            grad_vectors[tile] += exponentials.T @ scaled
        return grad.div_(self._sum)

    def _logits(self, tile: slice) -> torch.Tensor:
        logits = self._hidden @ self._vectors[tile].to(self._hidden.dtype).T  # (block, tile)
        return logits if self._offsets is None else logits.add_(self._offsets[tile])
