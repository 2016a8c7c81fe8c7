"""What an unfinished training run keeps in the lake: its newest pass, and a line that says how far it is.

The run is a Spark task, on any node. It writes both; the driver reads the line, and the next run, or the task that Spark starts
anew in the place of a lost one, goes on from the pass.
"""

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import fsspec

from offline.models import storage
from offline.models.contract import Arrays
from offline.training.checkpoint import CheckpointFolder
from shared.errors import ModelError
from shared.lake import get_folder

FOLDER = "models/unfinished"
"""Below the lake's root; `erase` removes it as a whole."""

POLL_S = 2.0
_LINE = "progress.txt"

log = logging.getLogger(__name__)


class LakeCheckpoint:
    """A `CheckpointFolder` in a folder of the lake; parameters as there. A context manager: its local copy goes at the end.

    What is there and damaged counts as nothing: a night's run should rather begin anew than wait for somebody.
    """

    def __init__(self, url: str, model: str, subject: str, *, every_s: float = 60.0) -> None:
        self._filesystem, self._path = _place(url)
        self._url = url
        self._local = Path(tempfile.mkdtemp(prefix="marquee-"))
        self._folder = CheckpointFolder(self._local, model, subject, every_s=every_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._local, ignore_errors=True)

    def latest(self) -> tuple[int, Arrays] | None:
        """The last pass kept of the same subject; see `CheckpointFolder.latest`."""
        if not self._filesystem.exists(f"{self._path}/{storage.MANIFEST}"):
            return None
        fetched = get_folder(self._url)
        try:
            for file in fetched.iterdir():
                shutil.move(str(file), self._local / file.name)
            return self._folder.latest()
        except ModelError as error:
            log.warning("training begins anew: %s", error)
            return None
        finally:
            shutil.rmtree(fetched, ignore_errors=True)

    def keep(self, number: int, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Keep a pass; see `CheckpointFolder.keep`."""
        manifest = self._local / storage.MANIFEST
        before = manifest.read_bytes() if manifest.exists() else b""
        self._folder.keep(number, arrays, now=now)
        if manifest.exists() and manifest.read_bytes() != before:
            self._upload()

    def remove(self) -> None:
        """Take away what is kept in the lake."""
        if self._filesystem.exists(self._path):
            self._filesystem.rm(self._path, recursive=True)

    def _upload(self) -> None:
        """The arrays first, then the file that points to them, then away with older arrays."""
        self._filesystem.makedirs(self._path, exist_ok=True)
        [tensors] = self._local.glob("tensors-*")
        self._filesystem.put_file(str(tensors), f"{self._path}/{tensors.name}")
        part = f"{self._path}/.{storage.MANIFEST}.part"
        self._filesystem.put_file(str(self._local / storage.MANIFEST), part)
        self._filesystem.mv(part, f"{self._path}/{storage.MANIFEST}")
        for older in self._filesystem.glob(f"{self._path}/tensors-*"):
            if older.rpartition("/")[2] != tensors.name:
                self._filesystem.rm(older)


def write_line(url: str, line: str) -> None:
    """Say in the lake how far a run is; that this fails must not end the run."""
    with suppress(OSError):
        filesystem, path = _place(url)
        filesystem.makedirs(path, exist_ok=True)
        filesystem.pipe_file(f"{path}/{_LINE}", line.encode())


@contextmanager
def followed(url: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say each new line that the run at a URL writes, while the block runs."""
    ended = threading.Event()

    def follow() -> None:
        filesystem, path = _place(url)
        said = _read(filesystem, path)  # of an earlier run
        while not ended.wait(POLL_S):
            line = _read(filesystem, path)
            if line and line != said:
                say(f"  {line}")
                said = line

    thread = threading.Thread(target=follow, name="marquee-training-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read(filesystem: Any, path: str) -> str:
    try:
        return bytes(filesystem.cat_file(f"{path}/{_LINE}")).decode(errors="replace")
    except OSError:
        return ""


def _place(url: str) -> tuple[Any, str]:
    filesystem, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return filesystem, path
