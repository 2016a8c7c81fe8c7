"""How likely a member goes on with a title in progress when they come back at some moment. Pure.

    P(the title is played in this session) = 1 / (1 + exp(-(w · x + b)))

x is what `Bookmarks.features` makes of the bookmark: how far in it is, how long ago and at what time of day it was set, whether
it is of the last session and the last thing watched, and whether the title is short, as an episode is. The row is wanted when any
of its titles is: 1 - Π (1 - P), as if they were chosen independently. `python -m infra.bench continuing` fits w and b to the
built-in world and prints how well they order titles that the fit has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from shared.state import ABANDONED_AFTER_MS, ABANDONED_PERCENT, Played

FEATURES = ("share", "share²", "log hours since", "same hour", "last session", "last title", "short", "short last")
SHORT_MS = 65 * 60_000
"""Running time up to which a title is taken for an episode."""
WEIGHTS = np.array([0.72, -0.48, -0.10, -0.04, 0.48, 0.82, 2.67, 1.86])
BIAS = -6.77
"""Fitted to the first 42 days of the built-in world with 5,000 members, 1,200 titles and 200,000 plays."""

_HOUR_MS = 3_600_000.0
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Bookmarks:
    """Some titles in progress, as arrays (n,).

    Attributes
    ----------
    share : how far in each is, from 0 to 1.
    age_ms : how long ago it was last played.
    is_abandoned : whether it was given up; see `Played.is_abandoned`.
    """

    played: Sequence[Played]
    position_ms: npt.NDArray[np.int64]
    runtime_ms: npt.NDArray[np.int64]
    share: npt.NDArray[np.float64]
    age_ms: npt.NDArray[np.int64]
    is_abandoned: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, played: Sequence[Played], now_ms: int) -> Self:
        """Of titles in progress, one or more, at some moment."""
        at_ms, _, _, _, kinds, positions, runtimes = zip(*played, strict=True)
        numbers = np.array((at_ms, positions, runtimes))  # (3, n)
        position_ms, runtime_ms = numbers[1], numbers[2]
        age_ms = np.maximum(now_ms - numbers[0], 0)
        is_abandoned = age_ms > ABANDONED_AFTER_MS
        if "stop" in kinds:
            is_early = 100 * position_ms < ABANDONED_PERCENT * runtime_ms
            if is_early.any():
                is_abandoned |= is_early & np.array([kind == "stop" for kind in kinds])
        return cls(played, position_ms, runtime_ms, position_ms / runtime_ms, age_ms, is_abandoned)

    def features(self, last: Played) -> npt.NDArray[np.float64]:
        """What the model sees, (features, n).

        Parameters
        ----------
        last : the newest play of all, whether in progress or not.
        """
        x = np.empty((len(FEATURES), len(self.share)))
        x[0] = self.share
        np.multiply(x[0], x[0], out=x[1])
        np.log1p(self.age_ms / _HOUR_MS, out=x[2])
        np.cos(self.age_ms * (2.0 * np.pi / _DAY_MS), out=x[3])  # 1 at the same time of day, wherever that is
        x[4] = [played.session_id == last.session_id for played in self.played]
        x[5] = [played.title_id == last.title_id for played in self.played]
        np.less_equal(self.runtime_ms, SHORT_MS, out=x[6])
        np.multiply(x[5], x[6], out=x[7])
        return x

    def chances(self, last: Played) -> npt.NDArray[np.float64]:
        """The chance that each title is played in a session that begins now, (n,)."""
        return 1.0 / (1.0 + np.exp(-BIAS - WEIGHTS @ self.features(last)))
