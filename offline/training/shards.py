"""Arrays in the files of one folder that driver and tasks share: a local folder, or any URL that fsspec knows."""

from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

Arrays = dict[str, npt.NDArray[Any]]


class Shards:
    """A folder of named arrays, a file for each set of them. Picklable: tasks get one by their closure.

    A file is read only once the task that wrote it has ended well, and one that is written again has the same content; so
    writing needs no other care, but for `write_whole`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def write(self, name: str, arrays: Arrays) -> None:
        """Write the arrays of a name, which may contain slashes."""
        files, path = self._at(name)
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(path, save({key: np.ascontiguousarray(array) for key, array in arrays.items()}))

    def write_whole(self, name: str, arrays: Arrays) -> None:
        """Write so that a reader finds the arrays before or these, whenever the writer dies."""
        self.write(f"{name}.part", arrays)
        files, path = self._at(name)
        files.mv(f"{path}.part", path)

    def read(self, name: str) -> Arrays:
        """Read the arrays of a name."""
        files, path = self._at(name)
        arrays: Arrays = load(files.cat_file(path))
        return arrays

    def has(self, name: str) -> bool:
        """Whether there are arrays of a name."""
        files, path = self._at(name)
        return bool(files.exists(path))

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all in it, if it is there."""
        files, path = self._at(name)
        if files.exists(path):
            files.rm(path, recursive=True)

    def _at(self, name: str) -> tuple[Any, str]:
        files, root = fsspec.core.url_to_fs(self.url)
        return files, f"{root}/{name}" if name else root
