"""The time of a request: how long each stage took, and whether the next one may still begin.

Every stage has a share of the deadline. Nothing can stop a function that computes, so a request that is late when a stage is
about to begin leaves that stage out, and all after it, and is answered from what is ready in memory.
"""

import time
from collections.abc import Mapping

from shared.errors import ConfigError

STAGES = ("allocate", "fetch", "blend", "rank", "rows", "page", "account")
"""A request from top to bottom."""

SHARES: Mapping[str, float] = {
    "allocate": 0.02, "fetch": 0.6, "blend": 0.08, "rank": 0.1, "rows": 0.1, "page": 0.08, "account": 0.02,
}  # fmt: skip
"""Of the deadline, what each stage has unless the configuration says otherwise: waiting for Redis has most."""


class Late(Exception):
    """The time of the stages before one has run out; its text says which, and by how much."""


class Allowance:
    """When each stage must have begun, from the shares of a deadline: before its own share is over too.

    Raises
    ------
    ConfigError : a share names no stage, or together they are more than the deadline.
    """

    def __init__(self, deadline_ms: float, shares: Mapping[str, float]) -> None:
        unknown = sorted(set(shares) - set(STAGES))
        if unknown:
            raise ConfigError(f"[online.deadline_shares] has an unknown stage {unknown[0]!r}; the stages are {', '.join(STAGES)}")
        merged = {**SHARES, **shares}
        total = sum(merged.values())
        if total > 1.0 + 1e-9:
            raise ConfigError(
                f"[online.deadline_shares] add up to {total:g} with the defaults of those left out; at most 1 is due"
            )
        self.begin_s: dict[str, float] = {}
        passed = 0.0
        for stage in STAGES:
            passed += merged[stage]
            self.begin_s[stage] = passed * deadline_ms / 1000  # after the request came, at the latest
        self.fetch_until_s = self.begin_s["fetch"]


class Stopwatch:
    """The time of one request, from its creation on.

    Attributes
    ----------
    began_s : on the monotonic clock.
    seconds : stage to the time that it took.
    """

    __slots__ = ("_allowance", "_since_s", "began_s", "seconds")

    def __init__(self, allowance: Allowance) -> None:
        self.began_s = self._since_s = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._allowance = allowance

    def lap(self, stage: str) -> None:
        """Put the time since the last lap down to a stage."""
        now_s = time.monotonic()
        self.seconds[stage] = now_s - self._since_s
        self._since_s = now_s

    def go_on(self) -> None:
        """Leave out the time since the last lap, in which others of the same call had their turn."""
        now_s = time.monotonic()
        self.began_s += now_s - self._since_s
        self._since_s = now_s

    def may_begin(self, stage: str) -> None:
        """Raise `Late` where the stages before this one have used up their time."""
        late_s = self._since_s - self.began_s - self._allowance.begin_s[stage]
        if late_s > 0:
            raise Late(f"{stage} would have begun {late_s * 1000:.1f} ms later than its share of the deadline allows")
