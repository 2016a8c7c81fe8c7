"""Which models suit some data on this machine, for a blend that is not told."""

from collections.abc import Mapping
from typing import Any

import torch

from offline.interactions import Interactions
from offline.models.registry import REGISTRY


def auto_sources(interactions: Interactions, parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of models: iALS; a linear one; the sequence transformer where there are times, and a GPU to learn from them on.

    Parameters
    ----------
    parts : settings of the models by their names; EASE's `most_titles` says when the graph filter takes its place.
    """
    wanted = ["ials", "ease" if len(interactions.title_ids) <= _most_titles(parts) else "graph"]
    if interactions.at_ms is not None and torch.cuda.is_available():
        wanted.append("sequence")
    return [name for name in wanted if name in REGISTRY]


def _most_titles(parts: Mapping[str, Mapping[str, Any]]) -> int:
    default = getattr(REGISTRY["ease"].settings_type(), "most_titles", 0) if "ease" in REGISTRY else 0
    return int(parts.get("ease", {}).get("most_titles", default))
