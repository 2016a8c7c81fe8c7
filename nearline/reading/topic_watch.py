"""Notices that a topic is not the one that the worker started with: created anew, grown, or gone.

Its records then belong to another epoch, which a running worker cannot go over to: it ends, and its successor begins there.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from shared import topics
from shared.config import KafkaConfig
from shared.errors import ConflictError, UnavailableError
from shared.topics import Topic

EVERY_S = 3.0
LOOKS_AT_NOTHING = 2
"""A topic counts as gone when it was missing so often in a row: a broker that starts may not know it yet."""

log = logging.getLogger(__name__)


class TopicWatch:
    """Looks at some topics for as long as the worker runs.

    Parameters
    ----------
    known : the topics as they were when the worker looked up their epochs.
    failed : told once of the `ConflictError` that the worker cannot go on from.
    """

    def __init__(
        self, config: KafkaConfig, known: Mapping[str, Topic], failed: Callable[[BaseException], None], every_s: float = EVERY_S
    ) -> None:
        self._config = config
        self._known = known
        self._failed = failed
        self._every_s = every_s
        self._missing: dict[str, int] = {}

    async def run(self) -> None:
        """Look every few seconds, until there is a change. Kafka being away is none."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                async with asyncio.timeout(2 * self._config.timeout_s):
                    found = await asyncio.to_thread(topics.find, self._config, list(self._known))
            except (UnavailableError, TimeoutError) as error:
                log.info("topics not looked at: %s", error)
                continue
            change = self._change(found)
            if change is not None:
                self._failed(ConflictError(f"{change}; start the worker again, and it goes on in the new epoch"))
                return

    def _change(self, found: Mapping[str, Topic]) -> str | None:
        for name, before in self._known.items():
            now = found.get(name)
            self._missing[name] = self._missing.get(name, 0) + 1 if now is None else 0
            if now is None:
                if self._missing[name] >= LOOKS_AT_NOTHING:
                    return f"topic {name!r} is no longer there"
            elif now.topic_id != before.topic_id:
                return f"topic {name!r} was created anew"
            elif now.partitions != before.partitions:
                return f"topic {name!r} has {now.partitions} partitions instead of {before.partitions} now"
        return None
