"""What people look at in a browser: members to choose from, and one member's page with what stands behind it."""

import time
from collections import OrderedDict
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from online.drawing.as_html import TEMPLATES as DRAWING
from online.drawing.as_html import Art, Sheet, row_names
from online.drawing.differences import page_differences
from online.drawing.wording import age
from online.requesting import MAX_ID_LENGTH
from online.service.endpoints import asker_of
from online.service.explanations import cell_key, explanations
from online.service.live_state import given_feedback, live_state
from online.service.queries import Viewing, parameters_of, viewing_of
from online.service.replies import embedded_json, html_reply
from shared.errors import InputError
from shared.pages.answers import Page
from shared.pages.devices import DEVICES
from shared.tastes import LONG_HALF_LIFE_MS, SHORT_HALF_LIFE_MS

RECENT_PAGES = 64


class RecentPages:
    """The last pages that people looked at in this process, so that a refreshed one can show what changed."""

    def __init__(self) -> None:
        self._pages: OrderedDict[str, Page] = OrderedDict()

    def add(self, page: Page) -> None:
        """Keep a page, and let the oldest go."""
        self._pages[page.page_id] = page
        if len(self._pages) > RECENT_PAGES:
            self._pages.popitem(last=False)

    def of(self, page_id: str, member_id: str) -> Page | None:
        """A page of a member, while it is kept."""
        page = self._pages.get(page_id)
        return page if page is not None and page.member_id == member_id else None


async def browse(request: Request) -> Response:
    """`/`: some members, and a way to any other."""
    wanted = parameters_of(request, ("q",)).get("q", "").strip()
    if len(wanted) > MAX_ID_LENGTH:
        raise InputError(f"what is searched for has {len(wanted)} characters; at most {MAX_ID_LENGTH} are expected")
    asker = asker_of(request)
    serving = asker.serving
    now_ms = time.time_ns() // 1_000_000
    members = [(member_id, live_state(state, serving, now_ms)) for member_id, state in await asker.sample(wanted)]
    made = datetime.fromtimestamp(serving.created_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return html_reply("browse.html", {"members": members, "wanted": wanted, "serving": serving, "made": made})


async def member(request: Request) -> Response:
    """`/member?id=…`: one member's page, live state and explanations.

    `since` names an earlier page to compare with, `after` is the cursor of the page above this part of it.
    """
    parameters = parameters_of(request, ("id", "since", "after", *Viewing._fields))
    if not parameters.get("id"):
        raise InputError("the parameter 'id' is missing; it names the member")
    asker = asker_of(request)
    viewing = viewing_of(parameters)
    after = parameters.get("after") or None
    page = await asker.page(parameters["id"], viewing, is_shown=False, after=after)
    state = await asker.state(page)
    serving = asker.serving if page.reasons is None else page.reasons.serving
    recent: RecentPages = request.app.state.recent
    before = recent.of(parameters.get("since", ""), page.member_id)
    recent.add(page)
    changes = None if before is None else page_differences(before, page)
    values = {
        "page": page,
        "sheet": Sheet(page, "Now", changes, True, row_names(page, before)),
        "art": Art(),
        "changes": changes,
        "live": live_state(state, serving, page.at_ms),
        "shown": embedded_json({"member_id": page.member_id, "cells": explanations(page), "feedback": given_feedback(state)}),
        "half_lives": {"short": age(SHORT_HALF_LIFE_MS), "long": age(LONG_HALF_LIFE_MS)},
        "cell_key": cell_key,
        "viewing": viewing,
        "is_first": after is None,
        "devices": tuple({**DEVICES, **asker.config.page.devices}),
        "maturities": asker.config.online.maturity_order,
        "countries": sorted(serving.countries | ({page.country} if page.country else set())),
        "total_s": sum(page.seconds.values()),
    }
    return html_reply("member.html", values)


async def page_style(request: Request) -> Response:
    """`/static/page.css`: how rows of a page look, in a browser as in the files that `page --html` writes."""
    return FileResponse(DRAWING / "style.css", media_type="text/css")
