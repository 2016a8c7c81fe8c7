"""Watches workers work from outside: how far the watermarks in Redis have got, at what cost in CPU and memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import psutil
import redis

from infra.bench.nearline.rates import Span
from infra.local.worker import NearlineWorker
from shared import keys, store
from shared.config import Config
from shared.errors import InputError, UnavailableError

STALL_LIMIT_S = 60.0


@dataclass(frozen=True)
class Sample:
    """One look at one or more workers of a topic. `done` counts events, `cpu_s` and `rss_bytes` add up the workers."""

    at_s: float
    done: int
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True)
class Series:
    """The samples of one run, from the first watermark on: what the workers needed to start is left out."""

    samples: tuple[Sample, ...]

    def span(self, low: float = 0.0, high: float = 1.0) -> Span:
        """What happened between two shares of the events.

        Raises
        ------
        InputError : all was over between two looks.
        """
        total = self.samples[-1].done
        first = next(sample for sample in self.samples if sample.done >= low * total)
        last = next(sample for sample in self.samples if sample.done >= high * total)
        if last.cpu_s <= first.cpu_s:
            raise InputError(f"{total:,} events are too few to measure: the worker had them all in Redis at the first look")
        return _between(first, last)

    def fastest(self, share: float) -> Span:
        """The fastest stretch with this share of the events: for runs whose beginning and end are not like the rest."""
        wanted = share * (self.samples[-1].done - self.samples[0].done)
        spans: list[Span] = []
        end = 0
        for first in self.samples:
            while end < len(self.samples) and self.samples[end].done - first.done < wanted:
                end += 1
            if end == len(self.samples):
                break
            spans.append(_between(first, self.samples[end]))
        return max(spans, key=lambda span: span.per_s)

    def slices(self, seconds: float) -> list[Span]:
        """The run cut into pieces of this length; a shorter rest at the end is left out."""
        pieces: list[Span] = []
        first = self.samples[0]
        for sample in self.samples:
            if sample.at_s - first.at_s >= seconds:
                pieces.append(_between(first, sample))
                first = sample
        return pieces

    @property
    def peak_rss_bytes(self) -> int:
        """The most resident memory in any sample."""
        return max(sample.rss_bytes for sample in self.samples)


def _between(first: Sample, last: Sample) -> Span:
    return Span(last.done - first.done, last.at_s - first.at_s, last.cpu_s - first.cpu_s)


class Progress:
    """How many events of a plays topic are in Redis, by the watermarks of its partitions.

    The topic must be in its first epoch and complete: offsets begin at zero.
    """

    def __init__(self, client: redis.Redis, config: Config) -> None:
        self._client = client
        self._key = keys.watermark(config.redis.namespace, config.kafka.plays_topic)

    def done(self) -> int:
        """Events whose effects are in Redis now."""
        return sum(int(mark) for mark in cast("list[bytes]", self._client.hvals(self._key)))


def follow(
    config: Config,
    workers: Sequence[NearlineWorker],
    total: int,
    *,
    every_s: float = 0.05,
    limit_s: float,
    say: Callable[[Sample], None] = lambda sample: None,
) -> Series:
    """Watch workers until `total` events are in Redis.

    Raises
    ------
    UnavailableError : a worker ended, nothing moved for `STALL_LIMIT_S`, or it took longer than `limit_s`.
    """
    samples: list[Sample] = []
    with store.connect(config.redis) as client, store.reachable(config.redis):
        progress = Progress(client, config)
        processes = [psutil.Process(worker.pid) for worker in workers]
        began_s = moved_s = time.monotonic()
        while not samples or samples[-1].done < total:
            time.sleep(every_s)
            for worker in workers:
                if not worker.is_running:
                    raise UnavailableError(worker.describe_exit())
            sample = _look(progress, processes)
            now_s = time.monotonic()
            if sample.done > (samples[-1].done if samples else 0):
                moved_s = now_s
            if sample.done > 0:
                samples.append(sample)
                say(sample)
            if now_s - moved_s > STALL_LIMIT_S or now_s - began_s > limit_s:
                raise UnavailableError(
                    f"{sample.done} of {total} events were in Redis after {now_s - began_s:.0f} s; see {workers[0].log_path}"
                )
    return Series(tuple(samples))


def _look(progress: Progress, processes: Sequence[psutil.Process]) -> Sample:
    done = progress.done()
    times = [process.cpu_times() for process in processes]
    rss_bytes = sum(process.memory_info().rss for process in processes)
    return Sample(time.perf_counter(), done, sum(used.user + used.system for used in times), rss_bytes)
