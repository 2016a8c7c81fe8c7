"""What a cell changes of a request, and the changes of all of a member's cells put together. Pure."""

from collections.abc import Iterable

import msgspec

from shared.config import ExplorationSettings


class Changes(msgspec.Struct, frozen=True, eq=False, weakref=True, kw_only=True, forbid_unknown_fields=True):
    """What differs from the configuration; what is None or empty does not.

    Equal to itself alone, so that it can be the key of whatever is worked out once for a combination of cells:
    `Experiments` hands out the same object for the same combination.

    Attributes
    ----------
    arm : snapshot pointer to follow.
    policy : page policy, by name or as `module:name`.
    stages : stage of a request to what does it instead, as `module:name`.
    exploration : all of the exploration settings; what it leaves out has its default.
    rows : row builders from top to bottom, by name or as `module:name`.
    settings : numbers of `[online]` and `[page]` by their keys.
    """

    arm: str | None = None
    policy: str | None = None
    stages: dict[str, str] = {}
    exploration: ExplorationSettings | None = None
    rows: tuple[str, ...] | None = None
    settings: dict[str, int | float] = {}

    @property
    def touched(self) -> frozenset[str]:
        """What is changed, as the file writes it: `policy`, `stages.rank`, `settings.rows`, …"""
        whole = (name for name in ("arm", "policy", "exploration", "rows") if getattr(self, name) is not None)
        stages = (f"stages.{name}" for name in self.stages)
        settings = (f"settings.{name}" for name in self.settings)
        return frozenset((*whole, *stages, *settings))

    def __str__(self) -> str:
        parts = [f"{name} {value}" for name, value in (("arm", self.arm), ("policy", self.policy)) if value is not None]
        parts += [f"{stage} by {path}" for stage, path in self.stages.items()]
        parts += [f"exploration {self.exploration.kind}"] if self.exploration is not None else []
        parts += [f"rows {', '.join(self.rows)}"] if self.rows is not None else []
        parts += [f"{name} {value:g}" for name, value in self.settings.items()]
        return "; ".join(parts) or "nothing"


NO_CHANGES = Changes()


def merge(parts: Iterable[Changes]) -> Changes:
    """The changes of several cells together. They touch different things: the check of the file sees to that."""
    merged = NO_CHANGES
    for part in parts:
        merged = Changes(
            arm=merged.arm if part.arm is None else part.arm,
            policy=merged.policy if part.policy is None else part.policy,
            stages=merged.stages | part.stages,
            exploration=merged.exploration if part.exploration is None else part.exploration,
            rows=merged.rows if part.rows is None else part.rows,
            settings=merged.settings | part.settings,
        )
    return merged
