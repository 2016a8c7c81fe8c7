"""Writes the marquee.toml that leads all layers to a local stack, keeping what the user has set in it."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec

from shared import config as configuration
from shared.config import Config
from shared.whole_files import write_whole

HEADER = "# Written by `python -m infra.local up`. Other sections and keys that you add here are kept.\n"


def write_settings(path: Path, stack: Config) -> None:
    """Write the addresses of `stack` into the configuration at `path`; other values that differ from defaults stay.

    Raises
    ------
    ConfigError : the file that is there cannot be read.
    """
    present = configuration.load(path) if path.exists() else Config()
    replace = msgspec.structs.replace
    password = None if os.environ.get("MARQUEE_REDIS_PASSWORD") else present.redis.password
    merged = replace(
        present,
        redis=replace(present.redis, url=stack.redis.url, password=password),
        kafka=replace(present.kafka, bootstrap_servers=stack.kafka.bootstrap_servers, partitions=stack.kafka.partitions),
        lake=replace(present.lake, root=stack.lake.root),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (HEADER + to_toml(merged)).encode(), mode=0o600 if password else 0o644)


def to_toml(config: Config) -> str:
    """A configuration as marquee.toml has it: the values that differ from the defaults, and always the addresses."""
    always = {"redis.url", "kafka.bootstrap_servers", "kafka.partitions", "lake.root"}
    lines: list[str] = []
    for section, fields in msgspec.to_builtins(config).items():
        defaults = msgspec.to_builtins(getattr(Config(), section))
        kept = {key: value for key, value in fields.items() if f"{section}.{key}" in always or value != defaults[key]}
        if kept:
            lines += ["", f"[{section}]", *(f"{key} = {_value(value)}" for key, value in kept.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """A TOML value; JSON's scalars and strings are TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
