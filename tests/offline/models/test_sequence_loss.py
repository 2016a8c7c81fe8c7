"""The loss over all titles against torch's own, which keeps all logits."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from infra.bench.models import loss_memory
from offline.models.sequence import loss
from offline.models.sequence.loss import catalogue_cross_entropy
from offline.models.sequence.objective import Objective

CPU = torch.device("cpu")


def problem(
    positions: int = 70, titles: int = 100, dim: int = 8, scale: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    hidden = torch.randn(positions, dim, generator=random).mul_(scale).requires_grad_()
    vectors = torch.randn(titles, dim, generator=random).mul_(scale).requires_grad_()
    return hidden, vectors, torch.randint(titles, (positions,), generator=random)


@pytest.mark.parametrize("tile", [16_384, 33, 7])  # all titles at once; in several tiles, of which the last is shorter
@pytest.mark.parametrize("scale", [1.0, 8.0])  # 8: logits of hundreds, whose exponentials overflow
@pytest.mark.parametrize("shifted", [False, True])
def test_equals_torchs_cross_entropy(tile: int, scale: float, shifted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "TITLES", tile)
    monkeypatch.setattr(loss, "POSITIONS", 32)
    hidden, vectors, targets = problem(scale=scale)
    offsets = torch.linspace(-2, 2, 100) if shifted else None
    expected = F.cross_entropy(hidden @ vectors.T + (0 if offsets is None else offsets), targets, reduction="sum")
    found = catalogue_cross_entropy(hidden, vectors, targets, offsets)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    weighted = torch.autograd.grad(3 * expected, (hidden, vectors))
    for one, other in zip(torch.autograd.grad(3 * found, (hidden, vectors)), weighted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-4 * scale)


def test_bfloat16_is_near() -> None:
    hidden, vectors, targets = problem(positions=400, titles=500)
    exact = catalogue_cross_entropy(hidden, vectors, targets)
    near = catalogue_cross_entropy(hidden, vectors, targets, None, torch.bfloat16)
    assert abs(float((near / exact).detach()) - 1) < 1e-3
    for one, other in zip(
        torch.autograd.grad(near, (hidden, vectors)), torch.autograd.grad(exact, (hidden, vectors)), strict=True
    ):
        assert float((one - other).norm() / other.norm()) < 0.01


def test_a_sample_stands_for_the_whole_catalogue() -> None:
    """On average over draws the sum of exponentials is that of all titles with plays, and each target keeps its logit."""
    _, vectors, targets = problem(positions=5, titles=300)
    played = np.arange(300) % 3 > 0
    targets = torch.from_numpy(np.flatnonzero(played))[targets % 200]
    logits = vectors.detach() @ torch.full((8,), 0.5)
    objective = Objective(played, 40, torch.float32, CPU)
    random = torch.Generator().manual_seed(0)
    sums = []
    for _ in range(2000):
        rivals, places, offsets = objective._sample(targets, random)
        assert (rivals[places] == targets).all()
        assert not offsets[places].any()
        sums.append(float((logits[rivals] + offsets).exp().sum()))
    assert np.mean(sums) == pytest.approx(float(logits[torch.from_numpy(played)].exp().sum()), rel=0.02)


@pytest.mark.slow
def test_memory_does_not_hold_the_logits() -> None:
    """The logits and their gradient would take 600 MB."""
    assert 0 < loss_memory.in_process(300_000, 256)[0] < 150
