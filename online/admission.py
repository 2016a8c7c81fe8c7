"""How many requests a process works on at once; one too many is answered from what is ready in memory, at once."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class InHand:
    """A request that was let in, or not.

    Attributes
    ----------
    refused : why it gets no work of its own; empty for one that was let in.
    """

    refused: str = ""


class Admission:
    """Slots for requests. Thread-safe.

    With more requests at work than the machine has time for, all of them would be late; so the ones beyond the limit cost next to
    nothing, and those within it keep their deadlines.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = threading.BoundedSemaphore(limit)

    @contextmanager
    def taken(self, requests: Sequence[InHand]) -> Iterator[None]:
        """A slot for one call, whatever the number of its requests; without a free one they are marked as refused."""
        if not self._free.acquire(blocking=False):
            for request in requests:
                request.refused = f"{self._limit} requests are in hand already"
            yield
            return
        try:
            yield
        finally:
            self._free.release()
