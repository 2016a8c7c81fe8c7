"""Events that flow into Kafka while something else happens."""

import threading
from types import TracebackType
from typing import Self

from tests.nearline.event_log import EventLog

STEP_S = 0.02


class Flow:
    """Sends a part of a log in the background, evenly over some seconds; leaving sends what is left at once, and waits for it.

    Parameters
    ----------
    first, last : records of the log, `last` not included.
    """

    def __init__(self, log: EventLog, first: int, last: int, seconds: float) -> None:
        self._log, self._first, self._last, self._seconds = log, first, last, seconds
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._failure: Exception | None = None
        self._sooner = threading.Event()

    def _send(self) -> None:
        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers=self._log.config.kafka.bootstrap_servers)
        try:
            steps = max(1, round(self._seconds / STEP_S))
            count = self._last - self._first
            sent = []
            for step in range(steps):
                part = slice(self._first + count * step // steps, self._first + count * (step + 1) // steps)
                sent += [producer.send(topic, key=key, value=value) for topic, key, value in self._log.records[part]]
                self._sooner.wait(STEP_S)
            producer.flush(timeout=60)
            for future in sent:
                future.get(timeout=1)
        except Exception as error:
            self._failure = error
        finally:
            producer.close(timeout=10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sooner.set()
        self._thread.join(120)
        assert not self._thread.is_alive(), "the events were not sent in time"
        if self._failure is not None and error is None:
            raise self._failure
