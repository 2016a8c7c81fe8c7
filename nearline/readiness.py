"""Says once, on standard output, that the worker has its partitions: what a supervisor or a test waits for."""

from collections.abc import Callable

READY = "ready:"
"""How the line begins."""


class Readiness:
    """Collects what each topic's consumer was given; speaks when all have been."""

    def __init__(self, topics: list[str], say: Callable[[str], None]) -> None:
        self._missing = set(topics)
        self._partitions: dict[str, list[int]] = {}
        self._say = say

    @property
    def is_ready(self) -> bool:
        """Whether every topic's partitions have been shared out once."""
        return not self._missing

    def assigned(self, topic: str, partitions: list[int]) -> None:
        """The group has shared out the partitions of a topic; none may have fallen to this worker."""
        self._partitions[topic] = partitions
        if topic in self._missing:
            self._missing.remove(topic)
            if not self._missing:
                told = ", ".join(f"{name} {_ranges(found)}" for name, found in sorted(self._partitions.items()))
                self._say(f"{READY} {told}")


def _ranges(partitions: list[int]) -> str:
    return "/".join(str(partition) for partition in partitions) or "none"
