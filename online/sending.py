"""Events go to a Kafka topic from a background thread: pages shown, and feedback that came over HTTP.

`offer` never waits: items go into a bounded buffer, and one that finds it full is dropped and counted. While Kafka is away
the buffer fills; that is logged once, and the thread keeps trying.
"""

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from prometheus_client import Counter

from shared.config import KafkaConfig

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""Between two attempts to reach Kafka."""
BATCH_BYTES = 1 << 19
"""Of one request to Kafka. Whole pages are larger than the 16 KB of kafka-python, which would make a request of each, at five
times the CPU."""
IDLE_S = 0.2
"""How long the thread sleeps at most before it looks whether it shall end."""

T = TypeVar("T")


class Record(NamedTuple):
    """What becomes of an item on its topic."""

    key: bytes
    value: bytes


class EventSender(Generic[T]):
    """The way of items to one topic. Needs kafka-python (the `online` extra), which is imported only when one is sent.

    Parameters
    ----------
    topic : where they go.
    buffer : how many may wait.
    what : what they are called in the log, in the plural.
    counted : counts what became of each, by the label `outcome`: sent, dropped, failed.
    record : makes an item's record, in the background thread.
    """

    def __init__(
        self, config: KafkaConfig, topic: str, buffer: int, what: str, counted: Counter, record: Callable[[T], Record]
    ) -> None:
        self._config = config
        self._topic = topic
        self._what = what
        self._record = record
        self._waiting: queue.Queue[T] = queue.Queue(maxsize=max(1, buffer))
        self._closing = threading.Event()
        self._deadline_s = float("inf")  # on the monotonic clock, once closing
        self._is_away = False
        self._counts = {outcome: counted.labels(outcome) for outcome in ("sent", "dropped", "failed")}
        self.sent = 0
        self.dropped = 0
        self.failed = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, item: T) -> bool:
        """Take an item to send later; False when the buffer is full and it was dropped."""
        if self._thread is None:
            self._start()
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            self._count("dropped")
            return False
        return True

    def close(self, limit_s: float) -> None:
        """Send what is buffered, for at most so long; what is left counts as dropped."""
        self._deadline_s = time.monotonic() + limit_s
        self._closing.set()
        if self._thread is not None:
            self._thread.join(limit_s + IDLE_S)
        left = 0
        while not self._waiting.empty():
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
            self._count("dropped")
            left += 1
        if left:
            log.warning("%d %s were dropped: Kafka did not take them within %g s", left, self._what, limit_s)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name=f"marquee-{self._what}", daemon=True)
                self._thread.start()

    def _count(self, outcome: str) -> None:
        with self._lock:  # the producer's own thread counts too
            setattr(self, outcome, getattr(self, outcome) + 1)
        self._counts[outcome].inc()

    def _send_all(self) -> None:
        producer: Any = None
        while not self._is_over():
            producer = producer or self._connect()
            if producer is None:
                self._closing.wait(RETRY_S)
                continue
            try:
                item = self._waiting.get(timeout=IDLE_S)
            except queue.Empty:
                continue
            self._send(producer, item)
        if producer is not None:
            left_s = max(0.0, self._deadline_s - time.monotonic())
            try:
                producer.flush(timeout=left_s)
            except Exception as error:
                self._report(error)
            producer.close(timeout=max(0.0, self._deadline_s - time.monotonic()))

    def _is_over(self) -> bool:
        return self._closing.is_set() and (self._waiting.empty() or time.monotonic() >= self._deadline_s)

    def _connect(self) -> Any:
        try:
            # A KafkaProducer that finds no broker fails without closing its sockets, so it is not tried without one.
            _find_broker(self._config.bootstrap_servers, self._config.timeout_s)
            from kafka import KafkaProducer

            limit_ms = int(self._config.timeout_s * 1000)
            producer = KafkaProducer(
                bootstrap_servers=self._config.bootstrap_servers.split(","),
                client_id="marquee-online",
                linger_ms=20,
                batch_size=BATCH_BYTES,
                bootstrap_timeout_ms=limit_ms,
                max_block_ms=limit_ms,
                request_timeout_ms=limit_ms,
                delivery_timeout_ms=3 * limit_ms,
            )
        except Exception as error:  # kafka-python raises many kinds for a broker that is away
            self._report(error)
            return None
        self._is_away = False
        return producer

    def _send(self, producer: Any, item: T) -> None:
        try:
            key, value = self._record(item)
            future = producer.send(self._topic, key=key, value=value)
        except Exception as error:  # no metadata in time, or an event too large for the topic
            self._fail(error)
            return
        future.add_callback(self._sent)
        future.add_errback(self._fail)

    def _sent(self, metadata: object) -> None:
        self._is_away = False
        self._count("sent")

    def _fail(self, error: BaseException) -> None:
        self._count("failed")
        self._report(error)

    def _report(self, error: BaseException) -> None:
        if not self._is_away:
            log.warning("%s cannot be sent to Kafka at %s: %s", self._what, self._config.bootstrap_servers, error)
            self._is_away = True


def _find_broker(servers: str, limit_s: float) -> None:
    """Return when one of some `host:port` accepts connections; raise OSError when none does within the limit."""
    trouble = OSError("no bootstrap server is configured")
    named = [server.strip() for server in servers.split(",")]
    addresses = [(server if ":" in server else f"{server}:9092").rpartition(":") for server in named]
    for host, _, port in addresses:
        try:
            socket.create_connection((host.strip("[]"), int(port)), limit_s / len(addresses)).close()
            return
        except (OSError, ValueError) as error:
            trouble = OSError(f"{host}:{port}: {error}")
    raise trouble
