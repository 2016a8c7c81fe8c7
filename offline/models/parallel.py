"""Runs independent blocks on all of torch's threads, one thread a block.

Torch would rather split each small operation over its threads, which then wait for each other, spinning, thousands of
times a second. On a machine that has other work to do, that took ten times as long as one thread alone (measured).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

import torch

T = TypeVar("T")


class Workers:
    """As many threads as torch has when the block is entered; inside, torch itself uses one in each of them.

    On a GPU there is nothing to share out, and all runs in the calling thread.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_cpu = device.type == "cpu"

    def __enter__(self) -> Self:
        self._threads = torch.get_num_threads()
        shared_out = self._on_cpu and self._threads > 1
        if shared_out:
            torch.set_num_threads(1)  # threads that start from here on take it over
        self._pool = ThreadPoolExecutor(self._threads) if shared_out else None
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)

    def for_each(self, work: Callable[[T], None], blocks: Iterable[T]) -> None:
        """Call `work` for every block. Blocks must not write to the same place; then threads do not change the outcome."""
        outcomes = map(work, blocks) if self._pool is None else self._pool.map(work, blocks)
        for _ in outcomes:
            pass
