"""Models by name: made from settings as a command line gives them, and loaded whichever a folder holds.

`offline.models` puts every model in; a model of models, such as the blend, makes its parts here.
"""

from pathlib import Path
from typing import Any

import msgspec

from offline.models.contract import Model, settings_from
from offline.models.storage import read_manifest
from shared.errors import InputError, ModelError

REGISTRY: dict[str, type[Model[Any]]] = {}


def register(*models: type[Model[Any]]) -> None:
    """Make models known by their names."""
    REGISTRY.update({model.name: model for model in models})


def kind_of(name: str) -> type[Model[Any]]:
    """The model of a name; raises `InputError` for one that nobody knows."""
    if name not in REGISTRY:
        raise InputError(f"unknown model {name!r}; expected one of {', '.join(sorted(REGISTRY))}")
    return REGISTRY[name]


def create_model(name: str, **settings: Any) -> Model[Any]:
    """Make a model by its name; settings may be given as strings, as from a command line.

    A setting of a part of the model is given as `part.setting`, such as `ials.factors` of the blend.

    Raises
    ------
    InputError : an unknown model or setting, or a value that the setting cannot take.
    """
    kind = kind_of(name)
    return kind(settings_from(kind.settings_type, _with_parts(kind, settings), f"model {name!r}"))


def load_model(folder: str | Path) -> Model[Any]:
    """Load whichever model a folder holds; raises `ModelError` as `Model.load` does."""
    name = read_manifest(folder).model
    if name not in REGISTRY:
        raise ModelError(f"{folder}: holds a model {name!r} that this version does not know")
    return REGISTRY[name].load(folder)


def _with_parts(kind: type[Model[Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with those named `part.setting` gathered in `parts`, where the model has such."""
    if "parts" not in {field.name for field in msgspec.structs.fields(kind.settings_type)}:
        return settings
    whole = {key: value for key, value in settings.items() if "." not in key}
    parts = {name: dict(values) for name, values in whole.get("parts", {}).items()}
    for key in settings.keys() - whole.keys():
        part, _, setting = key.partition(".")
        parts.setdefault(part, {})[setting] = settings[key]
    return {**whole, "parts": parts} if parts else whole
