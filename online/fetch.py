"""The second stage of a request: the round trip to Redis, in a thread or in an event loop, and the facts of its replies."""

from collections.abc import Sequence
from typing import Any

from online.allocation import Allocator
from online.arms import Arms
from online.asked import Asked, without_data
from online.deadline import Allowance
from online.fetching import facts_without
from online.reading import Overloaded, Reading
from online.resp import ReadError
from shared.config import Config
from shared.pages.facts import Facts


class Fetch:
    """Facts for requests. Never raises: what could not be had is left out, with a reason."""

    def __init__(self, config: Config, allowance: Allowance, arms: Arms, allocator: Allocator) -> None:
        self.reading = Reading(config)
        self._limit_ms = config.online.deadline_ms
        self._allowance = allowance
        self._arms = arms
        self._allocator = allocator

    def read(self, requests: Sequence[Asked]) -> list[Facts]:
        """The facts of some requests, from one round trip."""
        if not requests:
            return []
        commands = [command for asked in requests for command in asked.question.commands]
        replies: list[Any] | ReadError
        try:
            _refuse(requests[0])
            replies = self.reading.read(commands, self._until_s(requests[0]))
        except ReadError as error:
            replies = error
        return self._facts(requests, replies)

    async def read_async(self, asked: Asked) -> Facts:
        """The facts of one request, without holding up the event loop."""
        replies: list[Any] | ReadError
        try:
            _refuse(asked)
            replies = await self.reading.read_async(asked.question.commands, self._until_s(asked))
        except ReadError as error:
            replies = error
        return self._facts([asked], replies)[0]

    def _until_s(self, asked: Asked) -> float:
        return asked.watch.began_s + self._allowance.fetch_until_s

    def _facts(self, requests: Sequence[Asked], replies: list[Any] | ReadError) -> list[Facts]:
        found: list[Facts] = []
        start = 0
        for asked in requests:
            stop = start + len(asked.question.commands)
            if isinstance(replies, ReadError):
                facts = facts_without(replies, self._limit_ms)
            else:
                facts = self._answered(asked, replies[start:stop])
            if self._allocator.waits_for_member:
                is_read = not facts.is_nothing
                is_known = (bool(facts.fence) or facts.candidates is not None) if is_read else None
                asked.allocation, asked.plan = self._allocator.allocate(asked.request, is_known)
            start = stop
            asked.watch.lap("fetch")
            found.append(facts)
        return found

    def _answered(self, asked: Asked, replies: Sequence[Any]) -> Facts:
        try:
            facts = asked.plan.stages.fetch(asked.question, replies)
        except Exception as error:  # a team's own stage
            return without_data(error, Facts())
        self._arms.notice(asked.plan.arm, facts.pointer)
        return facts


def _refuse(asked: Asked) -> None:
    """Raise `Overloaded` where a request got no slot."""
    if asked.refused:
        raise Overloaded(asked.refused)
