"""A snapshot's shared part in a local file, so that a process that starts while Redis is away has something to show.

    [online] keep_snapshot = "/var/cache/marquee/snapshot"     one file an arm: snapshot-default

The file holds the manifest and the bundle as Redis has them; their checksums are compared again when it is read.
"""

import logging
from pathlib import Path

import msgspec

from shared import codecs
from shared.errors import SnapshotError
from shared.snapshots import Parts, Snapshot, opened
from shared.whole_files import write_whole

KEPT_VERSION = 1

log = logging.getLogger(__name__)


class KeptSnapshot:
    """One arm's file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, parts: Parts) -> None:
        """Write a snapshot down, the whole of it or nothing. A file that cannot be written is logged: requests don't need it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, codecs.seal(KEPT_VERSION, msgspec.msgpack.encode(tuple(parts))))
        except OSError as error:
            log.warning("the snapshot cannot be kept in %s: %s", self.path, error)

    def read(self) -> Snapshot | None:
        """The snapshot that was kept last; None without one.

        Raises
        ------
        SnapshotError : the file is corrupt or was written by a newer version.
        """
        try:
            blob = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SnapshotError(f"{self.path}: cannot be read ({error.strerror})") from None
        body = codecs.unseal(blob, KEPT_VERSION, f"{self.path}")
        try:
            return opened(Parts(*msgspec.msgpack.decode(body, type=tuple[bytes, bytes])))
        except msgspec.DecodeError as error:
            raise SnapshotError(f"{self.path}: no snapshot ({error})") from None
