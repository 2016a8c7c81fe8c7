"""How likely a member goes on with a title in progress when they come back at some moment. Pure.

    P(the title is played in this session) = 1 / (1 + exp(-(w · x + b)))

x is what `features` makes of the bookmark: how far in it is, how long ago and at what time of day it was set, whether it is of
the last session and the last thing watched, and whether the title is short, as an episode is. The row is wanted when any of its
titles is: 1 - Π (1 - P), as if they were chosen independently.

w and b are a prior and not a fit: the title watched last and left in the middle is gone on with in two of three sessions at once,
in three of ten a day later, in one of seven a week later; any other one about half as often. `python -m infra.bench continuing`
fits them to the built-in world and prints how both order titles that the fit has not seen. Its fit is not the default because in
that world almost only episodes are gone on with: a film left in the middle would have less than one chance in a hundred.
"""

from math import cos, exp, log1p, pi
from operator import mul

from shared.state import Played

FEATURES = ("share", "share²", "log hours since", "same hour", "last session", "last title", "short", "short last")
SHORT_MS = 65 * 60_000
"""Running time up to which a title is taken for an episode."""
WEIGHTS = (2.0, -1.5, -0.45, 0.2, 0.2, 1.0, 1.2, 0.2)
BIAS = -1.4

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
