"""The entries of a fence that are no topics: what else has happened to a state, carried along by whoever writes it next.

    #installed      how often an install changed the state while no topic moved on, as imported history does; a writer that holds
                    the state would not see the change otherwise
    #imported       imported history was folded in, which no topic has; the offset counts its events
    #repaired       how often `python -m nearline repair` replaced the state
    #erased/<topic> up to where the member's events in that topic were erased: they count for nothing, and never return

No topic can be called so, and the rules of a fence hold for them as well: the later one stays when two are merged.
"""

from shared.fence import Fence, Position

INSTALLED = "#installed"
IMPORTED = "#imported"
REPAIRED = "#repaired"
_MARK = "#"
_ERASED = "#erased/"


def topics(fence: Fence) -> Fence:
    """The fence without marks."""
    return {topic: at for topic, at in fence.items() if not topic.startswith(_MARK)}


def imported(events: int) -> Fence:
    """The mark of a state that some imported events were folded into; none for none."""
    return {IMPORTED: Position(0, 0, events)} if events else {}


def installed(fence: Fence) -> Fence:
    """The fence after one install more."""
    return _once_more(fence, INSTALLED)


def repaired(fence: Fence) -> Fence:
    """The fence after one repair more."""
    return _once_more(fence, REPAIRED)


def _once_more(fence: Fence, mark: str) -> Fence:
    last = fence.get(mark)
    return {**fence, mark: Position(0, 0, last.offset + 1 if last else 1)}


def erased(fence: Fence) -> Fence:
    """Topic to the last event that was erased; empty for a member who never was."""
    return {topic.removeprefix(_ERASED): at for topic, at in fence.items() if topic.startswith(_ERASED)}


def erase(upto: Fence) -> Fence:
    """The fence of an erased member: all that lies up to there counts as seen, and is remembered as erased.

    Parameters
    ----------
    upto : topic to the last position to erase.
    """
    return {**upto, **{f"{_ERASED}{topic}": at for topic, at in upto.items()}}
