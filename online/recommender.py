"""A member's page or list at request time: fetch → blend → rank → rows → page → account.

Only the first and the last stage touch anything outside the process. A request answers from exactly one snapshot, the one
that this process had loaded when the request came, and always answers: what Redis cannot tell in time is left out, down to
what is popular, from memory, and the answer says so.
"""

import logging
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from online import metrics
from online.fetching import Fetcher
from online.impressions import ImpressionLog
from online.requesting import checked_k, checked_request
from shared import config as configuration
from shared import store
from shared.arm_loading import ArmLoader
from shared.config import Config
from shared.pages.answers import Fallback, Page, Recommendation, Row, Tier
from shared.pages.assembly import assemble, page_tier
from shared.pages.blending import POPULAR_POOL, Pool, blend
from shared.pages.drafts import RowBuilder, RowContext, draft_rows
from shared.pages.facts import Facts
from shared.pages.ranking import Ranking, rank
from shared.pages.request import Request
from shared.pages.rows import DEFAULT_ROWS, titles_to_continue
from shared.pages.serving import Serving
from shared.snapshots import SnapshotStore

POLL_S = 5.0
"""How often an idle process looks at the pointer; a busy one learns of a flip from its requests."""

log = logging.getLogger(__name__)


class Recommender(AbstractContextManager["Recommender"]):
    """Pages and ranked lists for members. Thread-safe; make one a process and keep it.

    Parameters
    ----------
    config : where Redis and Kafka are, which arm to follow, how long a page is.
    rows : what a page is made of, from top to bottom.
    """

    def __init__(self, config: Config, rows: Sequence[RowBuilder] = DEFAULT_ROWS) -> None:
        self._config = config
        self._rows = tuple(rows)
        self._fetcher = Fetcher(config)
        self._loader_client = store.connect(config.redis)
        snapshots = SnapshotStore(self._loader_client, config.redis.namespace)
        self._loader = ArmLoader(snapshots, config.online.arm, Serving, POLL_S)
        self._impressions = (
            ImpressionLog(config.kafka, config.online.impressions_buffer) if config.online.log_impressions else None
        )
        self._loader.start()

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
        serving = self._serving
        return None if serving is None else serving.version

    def page(self, member_id: str, *, device: str = "tv", country: str | None = None, now_ms: int | None = None) -> Page:
        """A member's home page; its impression is logged.

        Parameters
        ----------
        member_id : any string of 1 to 256 characters; a member nobody knows gets a page of what is popular.
        device : what the page is for.
        country : ISO 3166 code; titles not available there are left out. None leaves none out.
        now_ms : the moment of the request in Unix milliseconds; None is now.

        Raises
        ------
        InputError : an argument cannot be used. Nothing else is raised.
        """
        request = checked_request(member_id, device, country, now_ms)
        serving = self._serving
        watch = _Stopwatch()
        facts = self._fetch(request, serving, watch, page=request)
        try:
            answer = self._page(request, serving, facts, watch)
        except Exception as error:  # a page without the member's data is better than none
            answer = self._page(request, serving, _without_data(error, facts), watch)
        self._account("page", answer.tier, answer.fallbacks, watch, answer)
        return answer

    def recommend(
        self, member_id: str, k: int = 20, *, device: str = "tv", country: str | None = None, now_ms: int | None = None
    ) -> list[Recommendation]:
        """The best titles for a member to begin, best first; see `page`. What is in progress is left to Continue Watching.

        Parameters
        ----------
        k : how many, 1 to 1000; there are fewer when the catalogue ends.
        """
        request = checked_request(member_id, device, country, now_ms)
        k = checked_k(k)
        serving = self._serving
        watch = _Stopwatch()
        facts = self._fetch(request, serving, watch)
        try:
            answer = self._list(request, serving, facts, k, watch)
        except Exception as error:
            facts = _without_data(error, facts)
            answer = self._list(request, serving, facts, k, watch)
        self._account("recommend", answer[0].tier if answer else "empty", facts.fallbacks, watch, None)
        return answer

    def close(self) -> None:
        """Send the buffered impressions, within Kafka's time limit, and let go of everything."""
        if self._impressions is not None:
            self._impressions.close(self._config.kafka.timeout_s)
        self._loader.close(self._config.redis.timeout_s)
        self._fetcher.close()
        self._loader_client.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def _serving(self) -> Serving | None:
        """The snapshot to answer from; a request takes it once."""
        loaded = self._loader.current
        return None if loaded is None else loaded.value

    def _fetch(self, request: Request, serving: Serving | None, watch: "_Stopwatch", page: Request | None = None) -> Facts:
        facts = self._fetcher.fetch(request.member_id, serving, page)
        self._loader.notice(facts.pointer)
        watch.lap("fetch")
        return facts

    def _page(self, request: Request, serving: Serving | None, facts: Facts, watch: "_Stopwatch") -> Page:
        online = self._config.online
        placed: tuple[Row, ...] = ()
        failed: tuple[Fallback, ...] = ()
        if serving is not None:
            blended, ranking = self._score(request, serving, facts, watch)
            context = RowContext(
                request, serving, facts.state, blended, ranking, online.rows, online.row_length, facts.trending, facts.seeds
            )
            drafts, failed = draft_rows(self._rows, context)
            watch.lap("rows")
            placed = assemble(drafts, serving, blended, ranking.scores, online.rows, online.row_length)
            watch.lap("page")
        return Page(
            page_id=uuid.uuid4().hex,
            member_id=request.member_id,
            at_ms=request.now_ms,
            device=request.device,
            country=request.country,
            snapshot=None if serving is None else serving.version,
            fence={topic: f"{at.epoch}:{at.partition}:{at.offset}" for topic, at in facts.fence.items()},
            state_age_ms=max(0, request.now_ms - facts.state.updated_at_ms) if facts.fence else None,
            tier=page_tier(placed),
            rows=placed,
            fallbacks=(*self._fallbacks(serving, facts, bool(placed)), *failed),
            seconds=watch.seconds,
        )

    def _list(self, request: Request, serving: Serving | None, facts: Facts, k: int, watch: "_Stopwatch") -> list[Recommendation]:
        if serving is None:
            return []
        depth = max(POPULAR_POOL, k + self._config.online.row_length)
        blended, ranking = self._score(request, serving, facts, watch, depth)
        begun = titles_to_continue(serving, facts.state, request.country, self._config.online.row_length)
        skipped = {title for title, _ in begun}
        titles = [title for title in ranking.order[: k + len(skipped)].tolist() if title not in skipped][:k]
        return [
            Recommendation(
                title_id=serving.ids[title],
                name=serving.names[title],
                rank=place,
                score=float(ranking.scores[title]),
                tier=blended.tier(title),
                evidence=blended.evidence(title),
            )
            for place, title in enumerate(titles)
        ]

    def _score(
        self, request: Request, serving: Serving, facts: Facts, watch: "_Stopwatch", depth: int = POPULAR_POOL
    ) -> tuple[Pool, Ranking]:
        blended = blend(serving, facts, request, depth)
        watch.lap("blend")
        ranking = rank(blended)
        watch.lap("rank")
        return blended, ranking

    def _fallbacks(self, serving: Serving | None, facts: Facts, has_rows: bool) -> tuple[Fallback, ...]:
        trouble = self._loader.trouble
        found = facts.fallbacks if trouble is None else (Fallback(*trouble), *facts.fallbacks)
        if serving is not None and not has_rows:
            found = (*found, Fallback("nothing-available", "no title of the catalogue may be shown to this member"))
        return found

    def _account(self, call: str, tier: Tier, fallbacks: Sequence[Fallback], watch: "_Stopwatch", shown: Page | None) -> None:
        if shown is not None and shown.rows and self._impressions is not None:
            self._impressions.offer(shown)
        metrics.REQUESTS.labels(call, tier).inc()
        for fallback in fallbacks:
            metrics.FALLBACKS.labels(fallback.code).inc()
        watch.lap("account")
        for stage, took_s in watch.seconds.items():
            metrics.STAGES.labels(stage).observe(took_s)


class _Stopwatch:
    """The time of each stage. `account` comes after the page was made, so a page's own `seconds` gains it last."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Put the time since the last lap down to a stage."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._since
        self._since = now


def _without_data(error: Exception, facts: Facts) -> Facts:
    """What is left to answer from when a member's data broke a stage: nothing about the member."""
    log.error("a request failed and was answered from what is popular", exc_info=error)
    return Facts(
        pointer=facts.pointer,
        fallbacks=(*facts.fallbacks, Fallback("internal-error", f"{type(error).__name__}: {error}")),
    )
