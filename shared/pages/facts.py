"""What is known about a member at the time of a request."""

from dataclasses import dataclass, field

from shared import state
from shared.fence import Fence
from shared.histories import Seed
from shared.pages.answers import Fallback
from shared.pages.serving import Indices, Scores
from shared.state import MemberState
from shared.trending import Trending


@dataclass(frozen=True, slots=True)
class Candidates:
    """A member's candidates: title indices (k,) of the snapshot, k above 0, and their scores (k,), best first."""

    titles: Indices
    scores: Scores


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a member at the time of a request.

    Attributes
    ----------
    candidates : the precomputed ones.
    fresh : those retrieved after the member's latest plays; None without any, or where those say nothing.
    seeds : what to name "Because You Watched" rows after, the newest first.
    fallbacks : what could not be had.
    """

    pointer: str | None = None
    state: MemberState = state.EMPTY
    fence: Fence = field(default_factory=dict)
    candidates: Candidates | None = None
    fresh: Candidates | None = None
    seeds: tuple[Seed, ...] = ()
    trending: Trending | None = None
    fallbacks: tuple[Fallback, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether nothing could be read, not even the pointer."""
        return self.pointer is None and self.state is state.EMPTY and self.candidates is None and self.fresh is None
