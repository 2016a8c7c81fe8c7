"""Where a fit keeps its passes on disk, so that a run that was killed goes on from the last one kept."""

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from offline.models import storage
from offline.models.contract import Arrays
from shared.errors import ModelError


class CheckpointFolder:
    """Keeps the newest pass of one fit in a folder, as a saved model is kept: whole or not at all, with a checksum.

    Parameters
    ----------
    model : name of the model that is fitted.
    subject : says what is fitted, in full: settings and data. What a fit of another subject left is not gone on from.
    every_s : passes that end sooner after the last one kept are not kept.
    """

    def __init__(self, folder: str | Path, model: str, subject: str, *, every_s: float = 30.0) -> None:
        self._folder = Path(folder)
        self._model = model
        self._subject = hashlib.sha256(subject.encode()).hexdigest()
        self._every_s = every_s
        self._kept_s = time.monotonic()

    def latest(self) -> tuple[int, Arrays] | None:
        """The last pass kept; None where none is, or of another subject.

        Raises
        ------
        ModelError : what is there is damaged.
        """
        if not (self._folder / storage.MANIFEST).is_file():
            return None
        try:
            manifest, arrays = storage.read(self._folder)
        except ModelError as error:
            raise ModelError(f"{error}; to train from the beginning, remove {self._folder}") from None
        if manifest.model != self._model or manifest.settings.get("subject") != self._subject:
            return None
        number = manifest.settings.get("number")
        if not isinstance(number, int):
            raise ModelError(f"{self._folder}: the checkpoint does not say its pass")
        return number, arrays

    def keep(self, number: int, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Write a pass in place of the one before, where it is time to, or `now`."""
        if now or time.monotonic() - self._kept_s >= self._every_s:
            storage.write(self._folder, self._model, {"subject": self._subject, "number": number}, arrays())
            self._kept_s = time.monotonic()

    def remove(self) -> None:
        """Take the folder away, once the fit is done."""
        shutil.rmtree(self._folder, ignore_errors=True)
