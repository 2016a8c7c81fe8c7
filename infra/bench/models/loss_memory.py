"""Memory and speed of the sequence model's loss, which is over all titles, beside torch's own cross-entropy.

Memory is measured in a process of its own: the greatest resident size during loss and gradients, less what the process had
before (hidden states and titles' vectors included) and less the gradients themselves.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from torch.nn import functional as F

from infra.bench.report import Repeated, Row, ratios, told
from offline.models.sequence.loss import catalogue_cross_entropy
from offline.training.record import Meter

POSITIONS = 128 * 50
DIM = 64
SIZES = (100_000, 1_000_000)
LIMIT_MB = 1_000.0
SPEED_TITLES = 12_000
ROUNDS = 5


def measure(say: Callable[[str], None]) -> list[Row]:
    """Memory at two sizes of the catalogue, then the speed at one that torch's own loss can hold as well."""
    rows = []
    for titles in SIZES:
        say(f"loss over {titles:,} titles")
        used_mb, seconds = in_process(titles, POSITIONS)
        naive_mb = 2 * POSITIONS * titles * 4 / 1e6
        what = f"memory of the loss, {titles:,} titles, batch 128 x 50, {DIM} dimensions, beyond parameters and gradients"
        values = {"used_mb": used_mb, "cpu_s": seconds, "torch_mb": naive_mb}
        figure = f"{used_mb:,.0f} MB; torch's own would take {naive_mb:,.0f} MB (logits and their gradient); {seconds:.0f} CPU-s"
        rows.append(Row(what, figure, f"≤ {LIMIT_MB:,.0f} MB", used_mb <= LIMIT_MB, values))
    say(f"speed at {SPEED_TITLES:,} titles")
    return [*rows, *_speed()]


def in_process(titles: int, positions: int) -> tuple[float, float]:
    """Megabytes used beyond parameters and gradients, and CPU-seconds, of one loss with gradients in a new process."""
    command = [sys.executable, "-m", __spec__.name, str(titles), str(positions)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    found = json.loads(done.stdout)
    return float(found["used_mb"]), float(found["cpu_s"])


def _speed() -> list[Row]:
    """CPU-seconds of loss and gradients of one batch, ours in both number types and torch's own, in turns."""
    hidden, vectors, targets = _problem(SPEED_TITLES, POSITIONS)

    def torchs() -> None:
        torch.autograd.grad(F.cross_entropy(hidden @ vectors.T, targets, reduction="sum"), (hidden, vectors))

    def ours(dtype: torch.dtype) -> None:
        torch.autograd.grad(catalogue_cross_entropy(hidden, vectors, targets, None, dtype), (hidden, vectors))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # each worker of a fit has one
    try:
        rivals: list[Callable[[], None]] = [torchs, lambda: ours(torch.float32), lambda: ours(torch.bfloat16)]
        spent: list[list[float]] = [[] for _ in rivals]
        for turn in range(ROUNDS + 1):
            for rival, seconds in zip(rivals, spent, strict=True):
                began = time.process_time()
                rival()
                if turn:  # the first only warms up
                    seconds.append(time.process_time() - began)
    finally:
        torch.set_num_threads(threads)
    naive, single, half = spent
    what = f"loss and gradients at {SPEED_TITLES:,} titles, batch 128 x 50, one thread"
    return [
        told(f"{what}: torch's own", Repeated(tuple(naive)), unit="CPU-s", digits=2),
        told(f"{what}: float32, times as fast", ratios(naive, single), unit="x", digits=2),
        told(f"{what}: bfloat16, times as fast", ratios(naive, half), unit="x", digits=2),
    ]


def _problem(titles: int, positions: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    hidden = torch.randn(positions, DIM, generator=random).requires_grad_()
    vectors = torch.randn(titles, DIM, generator=random).mul_(0.1).requires_grad_()
    return hidden, vectors, torch.randint(titles, (positions,), generator=random)


def _alone(titles: int, positions: int) -> dict[str, float]:
    """What the process of its own does."""
    small = _problem(1_000, 256)
    torch.autograd.grad(catalogue_cross_entropy(*small, None, torch.bfloat16), small[:2])  # loads what torch loads late
    hidden, vectors, targets = _problem(titles, positions)
    before_mb, meter = psutil.Process().memory_info().rss / 1e6, Meter()
    gradients = torch.autograd.grad(catalogue_cross_entropy(hidden, vectors, targets, None, torch.bfloat16), (hidden, vectors))
    gradients_mb = sum(each.numel() * each.element_size() for each in gradients) / 1e6
    peak_mb = meter.peak_memory_mb * 2**20 / 1e6
    return {"used_mb": peak_mb - before_mb - gradients_mb, "cpu_s": meter.cpu_seconds}


if __name__ == "__main__":
    print(json.dumps(_alone(int(sys.argv[1]), int(sys.argv[2]))))
