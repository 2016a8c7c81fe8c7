"""Pages and lists that are ready before they are needed: what is popular, for requests that cannot have their own."""

import logging
import threading
from collections.abc import Sequence
from typing import NamedTuple

from shared.config import DeviceFormat, PageConfig
from shared.pages.answers import Recommendation, Row
from shared.pages.assembly import make_rows
from shared.pages.blending import blend
from shared.pages.drafts import RowBuilder, RowContext, draft_rows
from shared.pages.facts import Facts
from shared.pages.listing import listed
from shared.pages.policies.template import Template
from shared.pages.ranking import in_order
from shared.pages.request import Request
from shared.pages.serving import Serving
from shared.pages.viewing import view_of

log = logging.getLogger(__name__)

KEPT = 256
"""Of snapshots, countries, devices and maturity limits, pages kept ready."""
LONGEST = 1000


class Ready(NamedTuple):
    """What is popular where somebody asks."""

    rows: tuple[Row, ...]
    titles: list[Recommendation]


class Standby:
    """What is popular in each country on each device, from memory. Thread-safe."""

    def __init__(self, builders: Sequence[RowBuilder]) -> None:
        self._builders = tuple(builders)
        self._lock = threading.Lock()
        self._ready: dict[tuple[str, str, str | None, tuple[str, ...]], Ready] = {}

    def of(self, serving: Serving, request: Request, device: DeviceFormat) -> Ready:
        """What anybody could be shown, made for whoever asks first."""
        key = serving.version, request.device, request.country, request.ratings
        found = self._ready.get(key)
        if found is None:
            try:
                found = _made(self._builders, serving, request, device)
            except Exception:  # then there is nothing, and still an answer
                log.exception("what is popular could not be shown")
                return Ready((), [])
            with self._lock:
                if len(self._ready) >= KEPT:
                    self._ready.clear()
                self._ready[key] = found
        return found


def _made(builders: Sequence[RowBuilder], serving: Serving, request: Request, device: DeviceFormat) -> Ready:
    anybody = Request(
        member_id="",
        device=request.device,
        country=request.country,
        now_ms=request.now_ms,
        ratings=request.ratings,
    )
    pool = blend(serving, Facts(), anybody, LONGEST)
    ranking = in_order(pool, pool.scores)
    context = RowContext(anybody, serving, Facts().state, pool, ranking, device.rows, device.row_length)
    drafts = [draft for draft in draft_rows(builders, context)[0] if draft.kind != "ask"]  # it may well be known what they like
    rows = make_rows(Template().place(drafts, view_of(context, device, PageConfig())), serving, pool, ranking.scores)
    return Ready(rows, listed(serving, pool, ranking, LONGEST))
