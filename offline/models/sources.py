"""Which models suit some data on this machine, for a blend that is not told."""

import torch

from offline.interactions import Interactions
from offline.models.registry import REGISTRY

EASE_TITLES = 12_000
"""Up to so many titles the closed form of EASE is solved, at titles³ operations and 8 bytes x titles² of memory; beyond, the
graph filter takes its place."""


def auto_sources(interactions: Interactions) -> list[str]:
    """iALS always; a linear item model; the sequence transformer where there are times to learn from and a GPU to do it on."""
    linear = "ease" if len(interactions.title_ids) <= EASE_TITLES else "graph"
    wanted = ["ials", linear]
    if interactions.at_ms is not None and torch.cuda.is_available():
        wanted.append("sequence")
    return [name for name in wanted if name in REGISTRY]
