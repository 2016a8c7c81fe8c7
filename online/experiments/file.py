"""The experiments file as a person writes it, typed; what it means is worked out in `online.experiments.checking`.

[layers.page]
salt = "page 2026"

[tests.stagewise]
layer = "page"
share = 0.2

[tests.stagewise.cells.control]
[tests.stagewise.cells.stagewise]
changes.policy = "stagewise"
"""

import re
import types
import typing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from online.experiments.changes import Changes
from online.experiments.rules import Rules
from shared.config import Section, read_toml
from shared.errors import ConfigError

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Ranges = tuple[tuple[float, float], ...]
Tree = dict[str, Any]
T = TypeVar("T", bound=msgspec.Struct)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class HoldoutEntry(Section, frozen=True):
    """Members that are in no test at all."""

    salt: str
    share: float


class LayerEntry(Section, frozen=True):
    """Tests that exclude each other. A layer's own holdout is in none of them."""

    salt: str
    holdout: float = 0.0


class CellEntry(Section, frozen=True):
    """One way to treat the members of a test; `members` are in it whatever their hash and the rules say."""

    share: float | None = None  # of the test; all of a test's cells say theirs, or none does and all are equal
    ranges: Ranges = ()  # of the test's space from 0 to 1, in the place of a share
    members: tuple[str, ...] = ()
    changes: Changes = Changes()


class TestEntry(Section, frozen=True):
    """A test; `overrides` maps members to cells and does what a cell's `members` do."""

    layer: str
    share: float | None = None  # of the layer
    ranges: Ranges = ()  # of the layer's space from 0 to 1, in the place of a share
    start: Moment | None = None
    end: Moment | None = None
    rules: Rules = Rules()
    overrides: dict[str, str] = msgspec.field(default_factory=dict)


class ExperimentsFile(msgspec.Struct, frozen=True):
    """All of a file: its path, and what it says by the names of layers, tests and cells."""

    path: Path
    holdout: HoldoutEntry | None
    layers: dict[str, LayerEntry]
    tests: dict[str, TestEntry]
    cells: dict[str, dict[str, CellEntry]]


class _Sections(Section, frozen=True):
    holdout: Tree | None = None
    layers: dict[str, Tree] = msgspec.field(default_factory=dict)
    tests: dict[str, Tree] = msgspec.field(default_factory=dict)


class _Cells(msgspec.Struct, frozen=True):
    cells: dict[str, Tree] = {}


def read(path: Path) -> ExperimentsFile:
    """Read a file, and hold every key and value of it to its type.

    Raises
    ------
    ConfigError : it cannot be read, or a key is unknown or has a wrong type; names file, test, cell and key.
    """
    sections = _typed(read_toml(path, "experiments"), _Sections, f"{path}")
    for kind, names in (("layer", sections.layers), ("test", sections.tests)):
        for name in names:
            _check_name(path, kind, name)
    tests: dict[str, TestEntry] = {}
    cells: dict[str, dict[str, CellEntry]] = {}
    for name, tree in sections.tests.items():
        where = f"{path}: test {name!r}"
        found = _typed({"cells": tree.pop("cells", {})}, _Cells, where).cells
        tests[name] = _typed(tree, TestEntry, where)
        for cell in found:
            _check_name(path, f"test {name!r}, cell", cell)
        cells[name] = {cell: _typed(part, CellEntry, f"{where}, cell {cell!r}") for cell, part in found.items()}
    return ExperimentsFile(
        path,
        holdout=None if sections.holdout is None else _typed(sections.holdout, HoldoutEntry, f"{path}: holdout"),
        layers={name: _typed(tree, LayerEntry, f"{path}: layer {name!r}") for name, tree in sections.layers.items()},
        tests=tests,
        cells=cells,
    )


def _check_name(path: Path, kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{path}: {kind} {name!r}: a name of 1 to 64 letters, digits, '-', '_' and '.' is expected, a letter or digit first"
        )


def _typed(tree: Tree, kind: type[T], where: str) -> T:
    """Convert a part of the file, and say in words where it does not fit."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        key = place.rstrip("`").lstrip(".")
        if "unknown field" in what:
            unknown = f"{key}.{what.split('`')[1]}".lstrip(".")
            raise ConfigError(f"{where} has an unknown key {unknown!r}; known keys: {', '.join(_fields(kind, key))}") from None
        if "missing required field" in what:
            raise ConfigError(f"{where} lacks {what.split('`')[1]!r}") from None
        raise ConfigError(f"{where}: {key}{': ' if key else ''}{what[0].lower()}{what[1:]}") from None


def _fields(kind: type[msgspec.Struct], key: str) -> tuple[str, ...]:
    """The keys of a structure, or of the one that stands at a key of it."""
    for part in filter(None, key.split(".")):
        hint = typing.get_type_hints(kind)[part]
        kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        kind = next(of for of in kinds if of is not type(None))
    return kind.__struct_fields__
