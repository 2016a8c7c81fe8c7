"""What marquee.toml says about models: which one is in use, and the settings of each."""

from typing import Any

import msgspec

from offline.models import REGISTRY, Model, create_model
from offline.models.registry import kind_of
from shared.config import TrainingConfig
from shared.errors import ConfigError, InputError

_IALS = ("factors", "iterations", "unobserved_pull", "regularisation")


def settings_of(config: TrainingConfig, name: str) -> dict[str, Any]:
    """The settings of a model, for `create_model`: those of `[training]` that it has, then its own of `[training.settings]`."""
    fields = {field.name for field in msgspec.structs.fields(REGISTRY[name].settings_type)}
    given: dict[str, Any] = {}
    if "seed" in fields:
        given["seed"] = config.seed
    if "device" in fields:
        given["device"] = "auto"
    if "parts" in fields:
        given["parts"] = {part: found for part in sorted(REGISTRY) if part != name and (found := settings_of(config, part))}
    if name == "ials":
        given |= {key: getattr(config, key) for key in _IALS}
    return given | config.settings.get(name, {})


def configured_model(config: TrainingConfig, name: str | None = None) -> Model[Any]:
    """A model with its configured settings, not fitted; the one in use where none is named.

    Raises
    ------
    InputError : there is no model of that name.
    ConfigError : the one in use is unknown, or has a setting that it does not have or cannot take.
    """
    known = ", ".join(sorted(REGISTRY))
    if name is not None:
        kind_of(name)
    elif config.model not in REGISTRY:
        raise ConfigError(f"[training] model is {config.model!r}; expected one of {known}")
    name = config.model if name is None else name
    if unknown := [one for one in config.settings if one not in REGISTRY]:
        raise ConfigError(f"[training.settings.{unknown[0]}]: there is no such model; expected one of {known}")
    try:
        return create_model(name, **settings_of(config, name))
    except InputError as error:
        raise ConfigError(f"[training.settings.{name}]: {error}") from None
