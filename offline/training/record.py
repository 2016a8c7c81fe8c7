"""The record of one training run: what was fitted on what, how well, how long, with how much, where and by which versions."""

import hashlib
import platform
import resource
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from offline.interactions import Interactions

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_VERSIONS = ("marquee", "numpy", "scipy", "torch")


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned from: a file or a table and its version, and a fingerprint of the content."""

    source: str
    version: int | None = None  # of a table
    fingerprint: str
    members: int
    titles: int
    entries: int

    @classmethod
    def of(cls, interactions: Interactions, source: str, version: int | None = None) -> "Data":
        """Describe interactions that were read from somewhere."""
        members, titles = interactions.matrix.shape
        return cls(
            source=source,
            version=version,
            fingerprint=fingerprint(interactions),
            members=members,
            titles=titles,
            entries=interactions.matrix.nnz,
        )


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Seconds, CPU-seconds and memory are of this run alone where it went on from an earlier one."""

    model: str
    settings: dict[str, Any]
    data: Data
    started_at_ms: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: float  # the greatest resident size of the process meanwhile
    device: str
    device_memory_mb: float  # the most that torch held of a GPU's memory; 0 without one
    passes: int  # made in all, those of earlier runs included
    resumed_from: int | None  # the last pass of an earlier run that this one went on from; None: it began from the beginning
    metrics: dict[str, float]
    versions: dict[str, str]

    def to_json(self) -> bytes:
        """The record as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Meter:
    """What this process takes from now on."""

    def __init__(self) -> None:
        self.started_at_ms = int(time.time() * 1000)
        self._began, self._cpu = time.perf_counter(), time.process_time()
        with suppress(OSError):  # then it is that of the process's whole life
            _CLEAR.write_text("5")  # proc(5): begins the greatest resident size anew
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    @property
    def seconds(self) -> float:
        """Passed since."""
        return time.perf_counter() - self._began

    @property
    def cpu_seconds(self) -> float:
        """Used since, by all threads."""
        return time.process_time() - self._cpu

    @property
    def peak_memory_mb(self) -> float:
        """The greatest resident size since, in MiB."""
        try:
            [line] = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
            return float(line.split()[1]) / 1024
        except (OSError, ValueError):
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    @property
    def device_memory_mb(self) -> float:
        """The most that torch has held of the GPU's memory since, in MiB."""
        return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def device_name(settings: dict[str, Any]) -> str:
    """What a model with these settings is fitted on: the GPU's name, or the number of CPU threads."""
    parts = settings.get("parts") or {}
    asked = {settings.get("device"), *(part.get("device") for part in parts.values())}
    if torch.cuda.is_available() and any(device in ("auto", "cuda") for device in asked):
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Versions of Python, of this distribution and of what computes."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # a checkout on the path, not installed
            found[name] = "not installed"
    return found


def fingerprint(interactions: Interactions) -> str:
    """A hash of all that a model can learn from interactions."""
    digest = hashlib.blake2b(digest_size=16)
    for ids in (interactions.member_ids, interactions.title_ids, interactions.country):
        digest.update("\x00".join("" if one is None else str(one) for one in (() if ids is None else ids)).encode())
        digest.update(b"\x01")
    matrix = interactions.matrix
    at_ms = np.zeros(0, np.int64) if interactions.at_ms is None else interactions.at_ms
    arrays = [matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, at_ms]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
