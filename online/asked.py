"""One request on its way through the stages, and the page that comes of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from online.admission import InHand
from online.deadline import Late, Stopwatch
from online.fetching import Question
from online.plans import Plan
from shared.arm_loading import Trouble
from shared.pages.answers import Fallback, Page, Row
from shared.pages.assembly import page_tier
from shared.pages.cursor import Cursor
from shared.pages.facts import Facts
from shared.pages.request import Request
from shared.pages.serving import Serving

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Asked(InHand):
    """What was asked for, and what it was allocated.

    Attributes
    ----------
    allocation : test to cell.
    serving : the one snapshot that it is answered from; None where none is loaded.
    k : titles wanted; 0 for a page.
    above : what a page that goes on has shown further up.
    is_shown : the member gets to see the page, so that it is accounted for.
    is_outdated : it was to go on from a page of another snapshot, and begins anew.
    """

    request: Request
    plan: Plan
    allocation: Mapping[str, str]
    serving: Serving | None
    question: Question
    watch: Stopwatch
    k: int
    above: Cursor | None = None
    is_outdated: bool = False
    is_shown: bool = True
    refused: str = ""

    def page(
        self, page_id: str, facts: Facts, rows: tuple[Row, ...], failed: tuple[Fallback, ...], trouble: Trouble | None
    ) -> Page:
        """The page of some rows, with all that it had to do without.

        Parameters
        ----------
        failed : what failed while the rows were made.
        trouble : why the newest snapshot is not the one that is served.
        """
        request, serving = self.request, self.serving
        fallbacks = (*(() if trouble is None else (Fallback(*trouble),)), *facts.fallbacks, *failed)
        if self.is_outdated:
            reason = "the page to go on from was made of another snapshot, so this one begins anew"
            fallbacks = (*fallbacks, Fallback("cursor-outdated", reason))
        if serving is not None and not rows:
            fallbacks = (*fallbacks, Fallback("nothing-available", "no title of the catalogue may be shown to this member"))
        return Page(
            page_id=page_id,
            member_id=request.member_id,
            at_ms=request.now_ms,
            device=request.device,
            country=request.country,
            snapshot=None if serving is None else serving.version,
            fence={topic: f"{at.epoch}:{at.partition}:{at.offset}" for topic, at in facts.fence.items()},
            state_age_ms=max(0, request.now_ms - facts.state.updated_at_ms) if facts.fence else None,
            tier=page_tier(rows),
            rows=rows,
            fallbacks=fallbacks,
            seconds=self.watch.seconds,
            allocation=dict(self.allocation),
        )


def without_data(error: Exception, facts: Facts) -> Facts:
    """What is left of the facts when a stage failed or had no time: nothing about the member, and why."""
    if isinstance(error, Late):
        reason = Fallback("late", str(error))
    else:
        log.error("a request failed and was answered from what is popular", exc_info=error)
        reason = Fallback("internal-error", f"{type(error).__name__}: {error}")
    return Facts(pointer=facts.pointer, fallbacks=(*facts.fallbacks, reason))
