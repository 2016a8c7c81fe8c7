"""The models, by name. Each keeps the contract in `offline.models.contract`; none of them needs Spark."""

from pathlib import Path
from typing import Any

from offline.models.contract import Checkpoint, Members, Model, Pass, Progress, Settings, settings_from
from offline.models.ials import IALS, IALSSettings
from offline.models.popularity import Popularity, PopularitySettings
from offline.models.storage import read_manifest
from offline.models.topk import TopK, top_k
from shared.errors import InputError, ModelError

__all__ = [
    "IALS",
    "REGISTRY",
    "Checkpoint",
    "IALSSettings",
    "Members",
    "Model",
    "Pass",
    "Popularity",
    "PopularitySettings",
    "Progress",
    "Settings",
    "TopK",
    "create_model",
    "load_model",
    "top_k",
]

REGISTRY: dict[str, type[Model[Any]]] = {model.name: model for model in (IALS, Popularity)}


def create_model(name: str, **settings: Any) -> Model[Any]:
    """Make a model by its name; settings may be given as strings, as from a command line.

    Raises
    ------
    InputError : an unknown model or setting, or a value that the setting cannot take.
    """
    if name not in REGISTRY:
        raise InputError(f"unknown model {name!r}; expected one of {', '.join(sorted(REGISTRY))}")
    kind = REGISTRY[name]
    return kind(settings_from(kind.settings_type, settings, f"model {name!r}"))


def load_model(folder: str | Path) -> Model[Any]:
    """Load whichever model a folder holds; raises `ModelError` as `Model.load` does."""
    name = read_manifest(folder).model
    if name not in REGISTRY:
        raise ModelError(f"{folder}: holds a model {name!r} that this version does not know")
    return REGISTRY[name].load(folder)
