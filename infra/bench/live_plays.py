"""Sends plays to Kafka at a steady rate from a process of its own, and tells which of them to look out for.

The sender shares no interpreter with what is measured and with those who watch. Its clock is theirs: on Linux
`perf_counter` counts from the machine's start in every process.
"""

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from shared import events
from shared.config import Config
from shared.errors import UnavailableError
from shared.events import Play

STOP_LIMIT_S = 40.0


@dataclass(frozen=True)
class Followed:
    """One play whose effect is waited for."""

    member_id: str
    title_id: str
    partition: int
    offset: int
    acked_at_s: float


class LivePlays:
    """Sends while it is entered.

    Parameters
    ----------
    members : they take turns, each with a title that they have not had before.
    titles : titles `t0`, `t1`, …
    rate : plays a second.
    samples : plays a second that `follow` is told of, once Kafka has acknowledged them. It is called from a thread.
    """

    def __init__(
        self, config: Config, members: Sequence[str], titles: int, rate: float, samples: float, follow: Callable[[Followed], None]
    ) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._heard, told = spawn.Pipe(duplex=False)
        self._stop = spawn.Event()
        self._follow = follow
        self._sent: int | None = None
        self._told = told
        every = max(1, round(rate / samples))
        self._process = spawn.Process(
            target=_send, args=(config, list(members), titles, rate, every, told, self._stop), name="live plays", daemon=True
        )
        self._listener = threading.Thread(target=self._listen, name="live plays", daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._told.close()  # the sender's end: when that process ends, so does what is heard
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._process.join(STOP_LIMIT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._listener.join(STOP_LIMIT_S)

    @property
    def sent(self) -> int:
        """How many plays Kafka has acknowledged; known after the exit.

        Raises
        ------
        UnavailableError : the sender failed.
        """
        if self._sent is None:
            raise UnavailableError(f"the sender of live plays ended with exit code {self._process.exitcode}")
        return self._sent

    def _listen(self) -> None:
        while True:
            try:
                heard: Followed | int = self._heard.recv()
            except EOFError:
                return
            if isinstance(heard, Followed):
                self._follow(heard)
            else:
                self._sent = heard


def _send(config: Config, members: list[str], titles: int, rate: float, every: int, told: Connection, stop: Any) -> None:
    """Send until told to stop. The body of the process."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers.split(","), acks="all", linger_ms=0)
    lock = threading.Lock()  # acknowledgements come in the producer's thread

    def acknowledged(member: str, title: str, metadata: Any) -> None:
        with lock:
            told.send(Followed(member, title, metadata.partition, metadata.offset, time.perf_counter()))

    number = 0
    began_s = time.perf_counter()
    try:
        while not stop.is_set():
            member, title = members[number % len(members)], f"t{number * (len(members) + 1) // len(members) % titles}"
            value = events.encode(_play(member, title, number))
            sent = producer.send(config.kafka.plays_topic, key=member.encode(), value=value)
            if number % every == 0:
                sent.add_callback(acknowledged, member, title)
            number += 1
            pause_s = began_s + number / rate - time.perf_counter()
            if pause_s > 0:
                time.sleep(pause_s)
        producer.flush(timeout=30)
        with lock:
            told.send(number)
    finally:
        producer.close(timeout=10)


def _play(member: str, title: str, number: int) -> Play:
    return Play(
        schema=events.SCHEMA_VERSION,
        event_id=f"{time.time_ns()}-{number}",
        member_id=member,
        title_id=title,
        kind="progress",
        session_id=f"{member}-live",
        at_ms=time.time_ns() // 1_000_000,
        position_s=1800.0,
        runtime_s=5400.0,
        watched_s=60.0,
        device="tv",
        country="US",
    )
