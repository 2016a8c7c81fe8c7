"""Which requests a test is for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from shared.config import Section


@dataclass(frozen=True, slots=True)
class Context:
    """What rules can ask of a request.

    Attributes
    ----------
    country : ISO 3166 code in capitals; None for unknown, which no rule on countries takes.
    is_known : whether anything is known about the member; None before the member's data are fetched, when tests of known or
        of cold members do not apply yet.
    attributes : what the caller knows about the member, such as the plan.
    """

    now_ms: int
    device: str = ""
    country: str | None = None
    is_known: bool | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


class Rules(Section, frozen=True):
    """A request must meet all of them; an empty one lets all pass."""

    countries: tuple[str, ...] = ()  # any of them
    devices: tuple[str, ...] = ()  # any of them
    members: Literal["known", "cold"] | None = None  # cold: nothing is known about the member
    # The request has all of these attributes, each with one of its values.
    attributes: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def let_pass(self, context: Context) -> bool:
        """Whether a request meets the rules."""
        if self.countries and context.country not in self.countries:
            return False
        if self.devices and context.device not in self.devices:
            return False
        if self.members is not None and context.is_known is not (self.members == "known"):
            return False
        if not self.attributes:
            return True
        return all(context.attributes.get(name) in values for name, values in self.attributes.items())

    def exclude(self, other: "Rules") -> bool:
        """Whether no request can meet both."""
        asked = [(self.countries, other.countries), (self.devices, other.devices)]
        asked += [(values, other.attributes[name]) for name, values in self.attributes.items() if name in other.attributes]
        if any(mine and theirs and not set(mine) & set(theirs) for mine, theirs in asked):
            return True
        return self.members is not None and other.members is not None and self.members != other.members

    def __str__(self) -> str:
        parts = [", ".join(values) for values in (self.countries, self.devices) if values]
        parts += [f"{self.members} members"] if self.members is not None else []
        parts += [f"{name} {' or '.join(values)}" for name, values in self.attributes.items()]
        return "; ".join(parts) or "everybody"
