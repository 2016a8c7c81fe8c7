"""A member's page or list at request time: allocate → fetch → blend → rank → rows → page → account.

Only fetch and account touch anything outside the process. A request answers from exactly one snapshot, the one that this
process had loaded when the request came, and always answers: what Redis cannot tell in time is left out, down to what is popular,
from memory, and the answer says so. Calls in a thread, in an event loop and for many members differ in how they wait for Redis.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from online import metrics
from online.admission import Admission
from online.allocation import Allocator
from online.arms import Arms
from online.asked import Asked, without_data
from online.deadline import Allowance, Stopwatch
from online.fetch import Fetch
from online.fetching import Asker, Wanted
from online.impressions import ImpressionLog
from online.plans import Plans
from online.records import MemberRecord, ask_records, records_of
from online.requesting import Asking, checked_k, checked_members, checked_request, checked_shown
from online.resp import ReadError
from online.similar import similar_titles
from online.standby import Ready, Standby
from shared import config as configuration
from shared.config import Config
from shared.errors import InputError, UnavailableError
from shared.pages.answers import Fallback, MoreOfRow, Page, Recommendation, Row, Tier
from shared.pages.assembly import make_rows
from shared.pages.blending import POPULAR_POOL
from shared.pages.cursor import Cursor, decode, encode, more_places
from shared.pages.drafts import RowBuilder, RowContext
from shared.pages.explaining import Reasons
from shared.pages.exploring import draw
from shared.pages.facts import Facts
from shared.pages.listing import listed
from shared.pages.policies import Placed
from shared.pages.serving import Serving
from shared.pages.viewing import view_of

log = logging.getLogger(__name__)


class Recommender(AbstractContextManager["Recommender"]):
    """Pages and ranked lists for members. Thread-safe and fork-safe; make one a process and keep it.

    Parameters
    ----------
    config : where Redis and Kafka are, which arm to follow, how long a page is.
    rows : what a page is made of; None takes the configured rows.

    Raises
    ------
    ConfigError : something in the configuration cannot be, experiments and replaced stages included.
    """

    def __init__(self, config: Config, rows: Sequence[RowBuilder] | None = None) -> None:
        self._config = config
        self._plans = Plans(config, rows)
        self._allocator = Allocator(config, self._plans)
        self._allowance = Allowance(config.online.deadline_ms, config.online.deadline_shares)
        self._asker = Asker(config)
        self._slots = Admission(config.online.concurrency)
        self._standby = Standby(self._plans.default.builders)
        self._arms = Arms(config, self._allocator.arms)
        self._fetch = Fetch(config, self._allowance, self._arms, self._allocator)
        self._impressions = (
            ImpressionLog(config.kafka, config.online.impressions_buffer) if config.online.log_impressions else None
        )
        self._process = os.getpid()

    @classmethod
    def from_config(cls, path: str | Path | None = None) -> Self:
        """A recommender from a configuration file; None looks in the usual places.

        Raises
        ------
        ConfigError : the file is missing, unreadable, or has a wrong or unknown key.
        """
        return cls(configuration.load(path))

    @property
    def snapshot(self) -> str | None:
        """The version that is served at the moment; None before the first could be loaded."""
        return None if self.serving is None else self.serving.version

    @property
    def serving(self) -> Serving | None:
        """The snapshot of the configured arm that is served at the moment, for looking up titles."""
        return self._arms.serving(self._config.online.arm)

    # --- calls ---

    def page(self, member_id: str, *, after: str | None = None, is_shown: bool = True, **asked: Unpack[Asking]) -> Page:
        """A member's home page; its impression is logged.

        Parameters
        ----------
        member_id : any string of 1 to 256 characters; a member nobody knows gets a page of what is popular.
        after : `Page.cursor` of the page above, to go on below it without repeats.
        is_shown : whether the member gets to see it; False for one that is only looked at, which is not accounted for.
        asked : device, country, maturity, now_ms, attributes, previous; see `Asking`.

        Raises
        ------
        InputError : an argument cannot be used. Nothing else is raised.
        """
        request = self._ask(member_id, 0, asked, after, is_shown)
        with self._slots.taken([request]):
            return self._answer_page(request, self._fetch.read([request])[0])

    def more_of_row(self, member_id: str, key: str, *, after: str, shown: int, **asked: Unpack[Asking]) -> MoreOfRow:
        """How a row of a page goes on to the right, without repeats from the page; its impression is logged.

        Parameters
        ----------
        key : of the row.
        after : `Page.cursor`, or that of the last such call.
        shown : cells of the row that were shown so far.

        Raises
        ------
        InputError : an argument cannot be used, or the page was made from a snapshot that is no longer served.
        """
        request = self._ask(member_id, 0, asked, after)
        if request.above is None or request.serving is None:
            raise InputError(f"the cursor is of another snapshot than {self.snapshot!r}; ask for the page anew")
        if key not in request.above.rows:
            raise InputError(f"the page has no row {key!r}; its rows are {', '.join(request.above.rows)}")
        with self._slots.taken([request]):
            return self._answer_row(
                request, request.serving, request.above, self._fetch.read([request])[0], key, checked_shown(shown)
            )

    def recommend(self, member_id: str, k: int = 20, **asked: Unpack[Asking]) -> list[Recommendation]:
        """The best titles for a member to begin, best first; see `page`. What is in progress is left to Continue Watching.

        Parameters
        ----------
        k : how many, 1 to 1000; there are fewer when the catalogue ends.
        """
        request = self._ask(member_id, checked_k(k), asked)
        with self._slots.taken([request]):
            return self._answer_list(request, self._fetch.read([request])[0])

    def pages(self, member_ids: Sequence[str], **asked: Unpack[Asking]) -> list[Page]:
        """The pages of many members from one round trip; see `page`."""
        requests = [self._ask(member_id, 0, asked) for member_id in checked_members(member_ids)]
        with self._slots.taken(requests):
            return [self._answer_page(*each) for each in self._in_turn(requests)]

    def recommend_many(self, member_ids: Sequence[str], k: int = 20, **asked: Unpack[Asking]) -> list[list[Recommendation]]:
        """The ranked lists of many members from one round trip; see `recommend`."""
        k = checked_k(k)
        requests = [self._ask(member_id, k, asked) for member_id in checked_members(member_ids)]
        with self._slots.taken(requests):
            return [self._answer_list(*each) for each in self._in_turn(requests)]

    def records(self, member_ids: Sequence[str]) -> list[MemberRecord]:
        """The live records of many members in one read.

        Raises
        ------
        InputError : the argument cannot be used.
        UnavailableError : Redis did not answer within the deadline, or refused a read.
        """
        members = checked_members(member_ids)
        until_s = time.monotonic() + self._config.online.deadline_ms / 1000
        try:
            return records_of(members, self._fetch.reading.read(ask_records(self._config.redis.namespace, members), until_s))
        except ReadError as error:
            raise UnavailableError(f"the records of {len(members)} members could not be read: {error}") from None

    def similar(self, title_id: str, k: int = 20, *, country: str | None = None) -> list[Recommendation]:
        """The titles most like one, best first, from the snapshot in memory.

        Raises
        ------
        InputError : an argument cannot be used, or the snapshot does not have the title.
        """
        serving = self.serving
        return [] if serving is None else similar_titles(serving, title_id, checked_k(k), country)

    async def page_async(
        self, member_id: str, *, after: str | None = None, is_shown: bool = True, **asked: Unpack[Asking]
    ) -> Page:
        """`page`, without holding up the event loop while Redis answers. What the loop is too busy for in time is `late`."""
        request = self._ask(member_id, 0, asked, after, is_shown)
        return self._answer_page(request, await self._fetch.read_async(request))

    async def recommend_async(self, member_id: str, k: int = 20, **asked: Unpack[Asking]) -> list[Recommendation]:
        """`recommend`, without holding up the event loop while Redis answers."""
        request = self._ask(member_id, checked_k(k), asked)
        return self._answer_list(request, await self._fetch.read_async(request))

    # --- the request ---

    def _ask(self, member_id: str, k: int, asked: Asking, after: str | None = None, is_shown: bool = True) -> Asked:
        """Allocate: what the experiments make of this request, and what it needs of Redis."""
        if self._process != os.getpid():
            self._after_fork()
        watch = Stopwatch(self._allowance)
        above, is_outdated = None if after is None else decode(after), False
        if above is not None and asked.get("now_ms") is None:
            asked["now_ms"] = above.now_ms
        request = checked_request(
            member_id, **asked, devices=self._plans.default.devices, maturity_order=self._config.online.maturity_order
        )
        allocation, plan = self._allocator.allocate(request)
        serving = self._arms.serving(plan.arm)
        if above is not None and (serving is None or serving.version != above.snapshot):
            above, is_outdated = None, True  # its titles mean nothing in another snapshot, so the page begins anew
        question = self._asker.ask(Wanted(request, serving, plan.arm, is_page=not k))
        watch.lap("allocate")
        return Asked(request, plan, allocation, serving, question, watch, k, above, is_outdated, is_shown)

    def _in_turn(self, requests: Sequence[Asked]) -> Iterator[tuple[Asked, Facts]]:
        """Fetch for all; each request's own time goes on when its turn comes."""
        for asked, facts in zip(requests, self._fetch.read(requests), strict=True):
            asked.watch.go_on()
            yield asked, facts

    def _answer_page(self, asked: Asked, facts: Facts) -> Page:
        """Blend, rank, rows, page; account."""
        above = asked.above
        page_id = uuid.uuid4().hex if above is None else f"{above.page_id}.{len(above.rows)}"
        rows: tuple[Row, ...] = ()
        reasons: Reasons | None = None
        failed: tuple[Fallback, ...] = ()
        if asked.serving is not None and facts.is_nothing and above is None:
            rows = self._popular(asked, asked.serving).rows
        elif asked.serving is not None and not facts.is_nothing:
            try:
                rows, reasons, failed = self._personal_rows(asked, asked.serving, facts, page_id)
            except Exception as error:  # a page without the member's data is better than none
                rows = self._popular(asked, asked.serving).rows if above is None else ()
                facts = without_data(error, facts)
        page = asked.page(page_id, facts, rows, failed, self._arms.trouble(asked.plan.arm))
        if reasons is not None:
            page.keep_reasons(reasons)
        self._account("page", asked, page.tier, page.fallbacks, page)
        return page

    def _personal_rows(
        self, asked: Asked, serving: Serving, facts: Facts, page_id: str
    ) -> tuple[tuple[Row, ...], Reasons, tuple[Fallback, ...]]:
        request, plan, watch, above = asked.request, asked.plan, asked.watch, asked.above
        first_row = 0 if above is None else len(above.rows)
        context = self._context(asked, serving, facts, first_row)
        drafts, failed = plan.stages.rows(plan.builders, context)
        watch.lap("rows")
        watch.may_begin("page")
        view = view_of(context, plan.format(request.device), plan.page, above, request.previous)
        placed = plan.stages.page(plan.policy, drafts, view)
        drawn = draw(plan.exploration, placed, context, page_id)
        scores = context.ranking.scores
        rows = make_rows(drawn.placed, serving, context.blend, scores, drawn.propensities, first_row)
        watch.lap("page")
        reasons = Reasons(request, serving, facts, context.blend, context.ranking, asked.allocation, drawn.placed, above, page_id)
        return rows, reasons, failed

    def _context(self, asked: Asked, serving: Serving, facts: Facts, first_row: int) -> RowContext:
        """Blend and rank: what row builders look at."""
        request, plan, watch = asked.request, asked.plan, asked.watch
        watch.may_begin("blend")
        pool = plan.stages.blend(serving, facts, request, POPULAR_POOL)
        watch.lap("blend")
        watch.may_begin("rank")
        ranking = plan.stages.rank(serving, facts, request, pool)
        watch.lap("rank")
        watch.may_begin("rows")
        device = plan.format(request.device)
        limit = first_row + device.rows
        return RowContext(request, serving, facts.state, pool, ranking, limit, device.row_length, facts.trending, facts.seeds)

    def _answer_row(self, asked: Asked, serving: Serving, above: Cursor, facts: Facts, key: str, shown: int) -> MoreOfRow:
        """Blend, rank, rows; account for a page of one row."""
        index, plan = above.rows.index(key), asked.plan
        try:
            context = self._context(asked, serving, facts, len(above.rows))
            drafts, failed = plan.stages.rows(plan.builders, context)
        except Exception as error:
            drafts, facts, failed = [], without_data(error, facts), ()
        asked.watch.lap("rows")
        draft = next((draft for draft in drafts if draft.key == key), None)
        if draft is None:
            return MoreOfRow(Row(key, key, ()), encode(above))
        places = more_places(draft, above.is_taken(serving.count), shown, plan.format(asked.request.device).row_length)
        rows = make_rows([Placed(draft, places)], serving, context.blend, context.ranking.scores, {}, index, shown)
        page_id = f"{above.page_id}.{index}.{shown}"
        page = asked.page(page_id, facts, rows if len(places) else (), failed, self._arms.trouble(plan.arm))
        self._account("row", asked, page.tier, page.fallbacks, page)
        return MoreOfRow(rows[0], encode(above.right_of(draft, places)))

    def _answer_list(self, asked: Asked, facts: Facts) -> list[Recommendation]:
        """Blend, rank; account."""
        answer: list[Recommendation] = []
        serving, request, watch, stages = asked.serving, asked.request, asked.watch, asked.plan.stages
        if serving is not None and facts.is_nothing:
            answer = self._popular(asked, serving).titles[: asked.k]
        elif serving is not None:
            try:
                watch.may_begin("blend")
                pool = stages.blend(serving, facts, request, max(POPULAR_POOL, asked.k))
                watch.lap("blend")
                watch.may_begin("rank")
                ranking = stages.rank(serving, facts, request, pool)
                watch.lap("rank")
                answer = listed(serving, pool, ranking, asked.k)
            except Exception as error:
                answer, facts = self._popular(asked, serving).titles[: asked.k], without_data(error, facts)
        self._account("recommend", asked, answer[0].tier if answer else "empty", facts.fallbacks, None)
        return answer

    def _account(self, call: str, asked: Asked, tier: Tier, fallbacks: Sequence[Fallback], shown: Page | None) -> None:
        if shown is not None and shown.rows and asked.is_shown:
            if asked.plan.stages.account is not None:
                try:
                    asked.plan.stages.account(shown)
                except Exception:  # a team's own stage must not cost the member the page
                    log.exception("a page could not be accounted for")
            elif self._impressions is not None:
                self._impressions.offer(shown)
        asked.watch.lap("account")
        metrics.count(call, tier, fallbacks, asked.watch.seconds)

    def _popular(self, asked: Asked, serving: Serving) -> Ready:
        return self._standby.of(serving, asked.request, asked.plan.format(asked.request.device))

    # --- the process ---

    def close(self) -> None:
        """Send the buffered impressions, within Kafka's time limit, and let go of everything."""
        if self._impressions is not None:
            self._impressions.close(self._config.kafka.timeout_s)
        self._arms.close(self._config.redis.timeout_s)
        self._fetch.reading.close()

    async def close_async(self) -> None:
        """`close` within an event loop, whose connection is closed too; the loop is not held up."""
        await self._fetch.reading.close_async()
        await asyncio.to_thread(self.close)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _after_fork(self) -> None:
        """A child has the parent's snapshots, but none of its threads and connections."""
        self._process = os.getpid()
        self._arms.start()
        if self._impressions is not None:
            self._impressions = ImpressionLog(self._config.kafka, self._config.online.impressions_buffer)
