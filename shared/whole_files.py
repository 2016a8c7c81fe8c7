"""Local files that are written whole or not at all: a reader finds what was there before, or all that is new.

Called wherever a file is made that something reads later; standard library only, as light tools use it too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary name beside the path; what the block writes there takes the path's place when the block ends well.

    It is on disk by then (fsync). When the block fails, what it wrote is removed.

    Raises
    ------
    OSError : as the block does; or the path's place cannot be taken.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file.

    Parameters
    ----------
    mode : who may read and write it, less what the process' umask takes.

    Raises
    ------
    OSError : it cannot be written.
    """
    with replaced(path) as temporary, os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


@contextmanager
def writable(path: Path, what: str = "") -> Iterator[None]:
    """Tell in a sentence that a file which somebody asked for cannot be written.

    Parameters
    ----------
    what : what it would hold, such as "the record".

    Raises
    ------
    InputError : where the block raises OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: {what}{' ' if what else ''}cannot be written ({error.strerror})") from None
