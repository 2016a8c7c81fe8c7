"""Logged pages and what was played from them, as the showings that the browse model is fitted to."""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from offline.evaluation.pages.browse_fit import Showings
from shared.config import DeviceFormat
from shared.errors import InputError
from shared.events import Impression
from shared.pages.devices import Devices

_DECODER = msgspec.json.Decoder(Impression)
OTHER_FORMAT = DeviceFormat()
"""The screen of a device that nobody knows."""


def read_impressions(path: Path) -> Iterator[Impression]:
    """Read a file with a value of topic `impressions` on each line (.jsonl or .jsonl.gz).

    Raises
    ------
    InputError : the file cannot be read; a line is no impression, and which.
    """
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                number += 1
                yield _DECODER.decode(line)
    except msgspec.DecodeError as error:
        raise InputError(f"{path} line {number}: {error}") from None
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not number:
        raise InputError(f"{path}: there is no page in it; expected a value of topic impressions on each line")


def screens(names: Sequence[str | None], devices: Devices) -> npt.NDArray[np.int64]:
    """Rows and cells of the first screen of each device, (n, 2)."""
    formats = {name: devices.format(name) if name in devices.names else OTHER_FORMAT for name in set(names) if name is not None}
    found = [formats[name] if name is not None else OTHER_FORMAT for name in names]
    return np.array([(one.visible_rows, one.visible_cells) for one in found], dtype=np.int64).reshape(-1, 2)


def showings(pages: Iterable[Impression], plays: pa.Table, devices: Devices) -> Showings:
    """Cells of titles that their member played from some page: all others say nothing about where members look.

    Parameters
    ----------
    plays : `member_id`, `title_id`, `page_id`, `row`, `rank`; those that came from no page are left out.
    """
    from_page = plays.filter(pc.is_valid(plays["page_id"])).select(["member_id", "title_id", "page_id", "row", "rank"])
    members, titles, ids, rows, ranks = (column.to_pylist() for column in from_page.columns)
    told = set(zip(members, titles, strict=True))
    played = set(zip(ids, titles, rows, ranks, strict=True))
    pairs: dict[tuple[str, str], int] = {}
    found: list[tuple[int, int, int, bool]] = []
    shown_on: list[str | None] = []
    for page in pages:
        for cell in page.cells:
            pair = page.member_id, cell.title_id
            if pair in told:
                is_played = (page.page_id, cell.title_id, cell.row, cell.rank) in played
                place = pairs.setdefault(pair, len(pairs))
                found.append((place, cell.row_index, cell.rank, is_played))
                shown_on.append(page.device)
    number, row, rank, was_played = np.array(found, dtype=np.int64).reshape(-1, 4).T
    visible = screens(shown_on, devices)  # (n, 2)
    return Showings(number, row, rank, visible[:, 0], visible[:, 1], was_played.astype(np.bool_))
