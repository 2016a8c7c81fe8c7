"""How likely a member goes on with a title in progress when they come back at some moment. Pure.

    P(the title is played in this session) = 1 / (1 + exp(-(w · x + b)))

x is what `features` makes of the bookmark: how far in it is, how long ago and at what time of day it was set, whether it is of
the last session and the last thing watched, and whether the title is short, as an episode is. The row is wanted when any of its
titles is: 1 - Π (1 - P), as if they were chosen independently. `python -m infra.bench continuing` fits w and b to the built-in
world and prints how well they order titles that the fit has not seen.
"""

from math import cos, exp, log1p, pi
from operator import mul

from shared.state import Played

FEATURES = ("share", "share²", "log hours since", "same hour", "last session", "last title", "short", "short last")
SHORT_MS = 65 * 60_000
"""Running time up to which a title is taken for an episode."""
WEIGHTS = (0.72, -0.48, -0.10, -0.04, 0.48, 0.82, 2.67, 1.86)
BIAS = -6.77
"""Fitted to the first 42 days of the built-in world with 5,000 members, 1,200 titles and 200,000 plays."""

_HOUR_MS = 3_600_000.0
_TURN = 2.0 * pi / (24 * _HOUR_MS)


def features(bookmark: Played, last: Played, now_ms: int) -> tuple[float, ...]:
    """What the model sees of a title in progress.

    Parameters
    ----------
    last : the newest play of all, whether in progress or not.
    """
    at_ms, _, title_id, session_id, _, position_ms, runtime_ms = bookmark
    share = position_ms / runtime_ms
    age_ms = max(0, now_ms - at_ms)
    is_last = title_id == last.title_id
    is_short = runtime_ms <= SHORT_MS
    return (
        share,
        share * share,
        log1p(age_ms / _HOUR_MS),
        cos(age_ms * _TURN),  # 1 at the same time of day, wherever that is
        session_id == last.session_id,
        is_last,
        is_short,
        is_short and is_last,
    )


def chance(bookmark: Played, last: Played, now_ms: int) -> float:
    """The chance that a title in progress is played in a session that begins now."""
    return 1.0 / (1.0 + exp(-BIAS - sum(map(mul, WEIGHTS, features(bookmark, last, now_ms)))))
