"""Whether the worker has its partitions and has caught up: said once on standard output, and over HTTP as often as asked.

`ready:` on standard output is what a supervisor or a test waits for. It means that the worker has its partitions; that it has
caught up too is what `nearline.watching.health` tells.
"""

from collections.abc import Callable, Mapping

from nearline import metrics
from nearline.watching import supervisor

READY = "ready:"
"""How the line begins."""


class Readiness:
    """Collects what each topic's consumer was given and how far behind it is; speaks when all have been.

    Parameters
    ----------
    lag_limit : a worker that has once been no more records behind has caught up.
    """

    def __init__(self, topics: list[str], say: Callable[[str], None], lag_limit: int = 0) -> None:
        self._missing = set(topics)
        self._partitions: dict[str, list[int]] = {}
        self._lag: dict[str, int] = {}
        self._lag_limit = lag_limit
        self._has_caught_up = False
        self._say = say

    @property
    def is_assigned(self) -> bool:
        """Whether every topic's partitions have been shared out once."""
        return not self._missing

    def assigned(self, topic: str, partitions: list[int]) -> None:
        """The group has shared out the partitions of a topic; none may have fallen to this worker."""
        self._partitions = {**self._partitions, topic: partitions}
        if topic in self._missing:
            self._missing = self._missing - {topic}
            if not self._missing:
                told = ", ".join(f"{name} {_ranges(found)}" for name, found in sorted(self._partitions.items()))
                self._say(f"{READY} {told}")
                supervisor.tell("READY=1")

    def lag(self, waiting: Mapping[str, int]) -> None:
        """Topic to the records in this worker's partitions that are not yet in Redis."""
        self._lag = dict(waiting)
        if self.is_assigned and sum(waiting.values()) <= self._lag_limit:
            self._has_caught_up = True
            metrics.READY.set(1)

    def report(self) -> tuple[bool, dict[str, object]]:
        """Whether the worker is ready, and what it has or why it isn't. Called from any thread."""
        missing, has_caught_up = sorted(self._missing), self._has_caught_up
        told: dict[str, object] = {"ready": has_caught_up, "partitions": self._partitions, "lag_records": self._lag}
        if missing:
            told["reason"] = f"no partitions of {', '.join(missing)} yet"
        elif not has_caught_up:
            told["reason"] = f"more than {self._lag_limit} records behind" if self._lag else "lag not known yet"
        return has_caught_up, told


def _ranges(partitions: list[int]) -> str:
    return "/".join(str(partition) for partition in partitions) or "none"
