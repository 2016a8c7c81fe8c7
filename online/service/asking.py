"""The one place that calls the request library for the server, and the state and feedback that pages for people add to it.

A call waits for Redis in the event loop and then works for less than a millisecond, which is not worth the way to a thread and
back. What only people ask for, whole states and scans of keys, takes longer and goes to threads.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from online import metrics
from online.recommender import Recommender
from online.sending import EventSender, Record
from online.service.faults import NotFoundError, NotReadyError
from online.service.members import Members
from online.service.queries import Viewing
from shared import events
from shared.config import Config
from shared.errors import UnavailableError
from shared.events import Feedback
from shared.pages.answers import Page, Recommendation
from shared.pages.serving import Serving
from shared.state import EMPTY, MemberState

LOOKING_THREADS = 4
"""People's requests that wait for Redis at once."""

T = TypeVar("T")


class Asker:
    """The request library as the server's handlers call it. Opening it loads the snapshot, which may take a while.

    Attributes
    ----------
    members : what Redis knows about members, for pages for people.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._recommender = Recommender(config)
        self._feedback: EventSender[Feedback] = EventSender(
            config.kafka, config.kafka.feedback_topic, config.serve.feedback_buffer, "feedback events", metrics.FEEDBACK, _record
        )
        self.members = Members(config.redis)
        self._threads = CapacityLimiter(LOOKING_THREADS)

    @property
    def serving(self) -> Serving:
        """The snapshot that is served at the moment.

        Raises
        ------
        NotReadyError : none could be loaded yet.
        """
        serving = self._recommender.serving
        if serving is None:
            raise NotReadyError(f"no snapshot of arm {self.config.online.arm!r} is loaded yet")
        return serving

    async def page(self, member_id: str, viewing: Viewing, *, is_shown: bool, after: str | None = None) -> Page:
        """A member's page, or how it goes on after a cursor; its impression is logged where the member sees it."""
        _ = self.serving
        return await self._recommender.page_async(member_id, after=after, is_shown=is_shown, **viewing._asdict())

    async def recommend(self, member_id: str, k: int, viewing: Viewing) -> list[Recommendation]:
        """A member's ranked list."""
        _ = self.serving
        return await self._recommender.recommend_async(member_id, k, **viewing._asdict())

    def similar(self, title_id: str, k: int, country: str | None) -> list[Recommendation]:
        """Titles like a title.

        Raises
        ------
        NotFoundError : the snapshot does not have it.
        """
        serving = self.serving
        if title_id not in serving.index:
            raise NotFoundError(f"snapshot {serving.version!r} has no title {title_id[:64]!r}")
        return self._recommender.similar(title_id, k, country=country)

    async def state(self, page: Page) -> MemberState:
        """The live state that a page was made from; where it was made from none, the one in Redis if that answers by now."""
        if page.reasons is not None:
            return page.reasons.facts.state
        try:
            return await self._in_thread(lambda: self.members.states([page.member_id])[0])
        except UnavailableError:  # the page's fallbacks tell it
            return EMPTY

    async def sample(self, wanted: str) -> list[tuple[str, MemberState]]:
        """Some members with their states; see `Members.sample`."""
        version = self._recommender.snapshot
        return await self._in_thread(lambda: self.members.sample(version, wanted))

    def take_feedback(self, feedback: Feedback) -> bool:
        """Take feedback to send to Kafka later; False when too much waits already."""
        return self._feedback.offer(feedback)

    async def close(self) -> None:
        """Send what is buffered, within Kafka's time limit, and let go of everything."""
        feedback = asyncio.to_thread(self._feedback.close, self.config.kafka.timeout_s)
        await asyncio.gather(feedback, self._recommender.close_async())  # the time passes for both at once
        self.members.close()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        # A request whose time is up does not wait for its thread, which ends by itself at the deadline of Redis.
        return await anyio.to_thread.run_sync(call, limiter=self._threads, abandon_on_cancel=True)


def new_event_id() -> str:
    """An id for an event that came without one."""
    return uuid.uuid4().hex


def _record(feedback: Feedback) -> Record:
    return Record(feedback.member_id.encode(), events.encode(feedback))
