"""What a file may name: page policies, row builders, stages and numbers, and whether rules and changes keep to it."""

import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from online.deadline import STAGES as REQUEST_STAGES
from online.experiments.changes import Changes
from online.experiments.rules import Rules
from shared.config import OnlineConfig, PageConfig, Section
from shared.dotted import load_object
from shared.errors import ConfigError
from shared.pages.rows import load_rows

STAGES = tuple(stage for stage in REQUEST_STAGES if stage != "allocate")
"""Stages of a request that a cell can replace; allocation is what decides about it."""
NUMBERS: Mapping[type[Section], tuple[str, ...]] = {
    OnlineConfig: ("rows", "row_length"),
    PageConfig: ("diversity", "repetition", "freshness", "stability", "evaluations"),
}
"""Numbers of the configuration that are read anew for every request."""
BEFORE_MEMBER = frozenset({"arm", "stages.fetch"})
"""What a request needs before the member's data are there, and a test of known or cold members cannot change."""


def _types_of_numbers() -> dict[str, Any]:
    hints = {section: typing.get_type_hints(section, include_extras=True) for section in NUMBERS}
    return {name: hints[section][name] for section, names in NUMBERS.items() for name in names}


@dataclass(frozen=True, slots=True)
class Known:
    """Names that a file may use; None lets every name pass.

    Attributes
    ----------
    policies : of page policies; any other is given as `module:name`.
    settings : numbers that a cell may change, by name, with the type (as msgspec knows it) that says what they may be.
    """

    policies: Collection[str] | None = None
    devices: Collection[str] | None = None
    stages: Collection[str] = STAGES
    settings: Mapping[str, Any] = field(default_factory=_types_of_numbers)


def check_rules(where: str, rules: Rules, known: Known) -> None:
    """Hold a test's rules to what requests can have.

    Raises
    ------
    ConfigError : no request can have it; `where` begins the message.
    """
    for country in rules.countries:
        if len(country) != 2 or not (country.isascii() and country.isalpha() and country.isupper()):
            raise ConfigError(f"{where}: rules.countries has {country!r}; codes of two capitals such as 'US' are expected")
    for device in rules.devices:
        _check_known(where, "device", device, known.devices)
    for name, values in rules.attributes.items():
        if not values:
            raise ConfigError(f"{where}: rules.attributes.{name} has no values, so that nobody would be in the test")


def check_changes(where: str, changes: Changes, rules: Rules, known: Known) -> None:
    """Hold a cell's changes, of a test with these rules, to what exists.

    Raises
    ------
    ConfigError : something does not, or cannot be changed for these members; `where` begins the message.
    """
    if changes.arm == "":
        raise ConfigError(f"{where}: changes.arm is empty; the name of an arm is expected")
    if changes.policy is not None:
        _check_replacement(where, "policy", changes.policy, known.policies)
    if changes.rows == ():
        raise ConfigError(f"{where}: changes.rows is empty, and so would the page be")
    load_rows(changes.rows or (), f"{where}: changes.rows")
    for stage, path in changes.stages.items():
        _check_known(where, "stage", stage, known.stages)
        _check_replacement(where, f"stage {stage!r}", path, ())
    for name, value in changes.settings.items():
        _check_known(where, "setting", name, known.settings)
        try:
            msgspec.convert(value, known.settings[name])
        except msgspec.ValidationError as error:
            what = str(error)
            raise ConfigError(f"{where}: changes.settings.{name} is {value}: {what[0].lower()}{what[1:]}") from None
    early = sorted(changes.touched & BEFORE_MEMBER)
    if rules.members is not None and early:
        raise ConfigError(f"{where}: changes {early[0]} for {rules.members} members, but it is needed before those can be told")


def _check_known(where: str, kind: str, name: str, known: Collection[str] | None) -> None:
    if known is not None and name not in known:
        raise ConfigError(f"{where}: {kind} {name!r} is unknown; known: {', '.join(known)}")


def _check_replacement(where: str, kind: str, name: str, known: Collection[str] | None) -> None:
    """A known name, or `module:name` of something that can be called."""
    if ":" in name or known == ():
        load_object(name, f"{where}: {kind}")
    else:
        _check_known(where, kind, name, known)
