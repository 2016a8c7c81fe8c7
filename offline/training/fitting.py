"""One fit with its checkpoint and its record; what the command on files and the jobs on the lake have in common."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from offline.interactions import Interactions
from offline.models import Model, Pass, Progress
from offline.models.contract import Arrays
from offline.training.record import Data, Meter, RunRecord, device_name, versions


class Kept(Protocol):
    """A place for checkpoints, such as `offline.training.checkpoint.CheckpointFolder`."""

    def latest(self) -> tuple[int, Arrays] | None:
        """The last pass kept."""

    def keep(self, number: int, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Keep a pass; `now`: whether or not it is time to."""

    def remove(self) -> None:
        """Take away what is kept."""


class StoppedError(Exception):
    """A fit ended because it was asked to; `number` is the pass that was kept."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped after pass {number}")
        self.number = number


class _Stoppable:
    """Hands passes on to where they are kept; once asked to stop, has the pass kept at once and ends the fit."""

    def __init__(self, kept: Kept, stop: threading.Event) -> None:
        self._kept, self._stop = kept, stop
        self.resumed_from: int | None = None

    def latest(self) -> tuple[int, Arrays] | None:
        found = self._kept.latest()
        self.resumed_from = None if found is None else found[0]
        return found

    def keep(self, number: int, arrays: Callable[[], Arrays]) -> None:
        if self._stop.is_set():
            self._kept.keep(number, arrays, now=True)
            raise StoppedError(number)
        self._kept.keep(number, arrays)


def subject(model: Model[Any], data: str) -> str:
    """What a fit is of, in full, so that no checkpoint of another is gone on from. `data` tells the data from others."""
    return msgspec.json.encode([model.name, msgspec.to_builtins(model.settings), data], order="sorted").decode()


def fit(
    model: Model[Any],
    interactions: Interactions,
    data: Data,
    kept: Kept,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> RunRecord:
    """Fit a model, from the last pass kept if there is one, and tell what it took.

    The caller saves the model, and removes what is kept once that is done.

    Parameters
    ----------
    stop : once set, the fit ends after the pass it is at, which is kept.

    Raises
    ------
    StoppedError : it was asked to stop. ModelError : see `Model.fit`.
    """
    meter = Meter()
    checkpoint = _Stoppable(kept, stop or threading.Event())
    passes = 0

    def told(done: Pass) -> None:
        nonlocal passes
        passes = done.number
        if progress is not None:
            progress(done)

    model.fit(interactions, told, checkpoint)
    settings: dict[str, Any] = msgspec.to_builtins(model.settings)
    return RunRecord(
        model=model.name,
        settings=settings,
        data=data,
        started_at_ms=meter.started_at_ms,
        seconds=meter.seconds,
        cpu_seconds=meter.cpu_seconds,
        peak_memory_mb=meter.peak_memory_mb,
        device=device_name(settings),
        device_memory_mb=meter.device_memory_mb,
        passes=passes or checkpoint.resumed_from or 0,
        resumed_from=checkpoint.resumed_from,
        metrics=model.figures(),
        versions=versions(),
    )
