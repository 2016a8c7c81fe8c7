"""Which events ask for fresh candidates: a title finished, a thumb, and a play that got past half of its title.

Pure functions of the events alone, so that a batch that comes again gives the same signals, also for events that the states
have seen: the worker may have died between the states and the signals.
"""

from collections.abc import Sequence

from shared.events import Feedback, Play
from shared.histories import ENGAGED_SHARE
from shared.state import FINISHED_PERCENT

FINISHED_SHARE = FINISHED_PERCENT / 100
THUMBS = ("thumbs_up", "thumbs_down")


def find_signals(events: Sequence[Play | Feedback | None], oldest_ms: int) -> list[int]:
    """Places of the events that are signals, ascending.

    A play is one when its report crosses half of the title or the beginning of the credits (it is beyond now, and was not
    before what was watched since the last report), or when it stops anywhere beyond half. A thumb always is.

    Parameters
    ----------
    events : one topic's; None for what could not be read.
    oldest_ms : signals from before are left to the nightly run, so that a backlog does not retrieve what is stale by then.
    """
    found: list[int] = []
    for place, event in enumerate(events):
        if type(event) is Play:
            reached_s, runtime_s = event.position_s, event.runtime_s
            if reached_s < ENGAGED_SHARE * runtime_s:  # most events end here
                continue
            share_before = (reached_s - event.watched_s) / runtime_s
            is_signal = (
                share_before < ENGAGED_SHARE
                or (share_before < FINISHED_SHARE and reached_s >= FINISHED_SHARE * runtime_s)
                or event.kind == "stop"
            )
        else:
            is_signal = event is not None and event.kind in THUMBS
        if is_signal and event is not None and event.at_ms >= oldest_ms:
            found.append(place)
    return found
