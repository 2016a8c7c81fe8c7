"""Where a page stopped, as text that a client hands back to see more of it without repeats. Pure.

    page → after(cursor of the page above, Placed rows) → encode → client → decode → is_taken, rows → the rows further down
                                                                          → more_places → the cells further to the right

A cursor is URL-safe text: version, checksum, then what the page was made from and what it has shown. Titles are gaps between
ascending indices of the snapshot, a byte for most of them. It is not secret and not signed: one that was made up can only change
what its bearer is shown.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import msgspec
import numpy as np
import numpy.typing as npt

from shared import codecs
from shared.errors import InputError, SnapshotError
from shared.pages.drafts import Draft
from shared.pages.policies.view import Placed, Places
from shared.pages.serving import Indices, Mask

CURSOR_VERSION = 1
LENGTH_LIMIT = 1 << 16
"""Characters of the longest cursor that is read: some forty thousand titles."""


NotNegative = Annotated[int, msgspec.Meta(ge=0)]


class _Stored(msgspec.Struct, array_like=True):
    page_id: Annotated[str, msgspec.Meta(max_length=64)]
    snapshot: str
    seed: NotNegative
    now_ms: NotNegative
    rows: list[str]
    titles: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """What a page was made from and what it has shown so far.

    Attributes
    ----------
    page_id : of the page as a whole, however often it is continued.
    snapshot : version that its rows are from; the title indices mean nothing in another one.
    seed, now_ms : of the first request, so that what is continued is what was begun.
    rows : keys of its rows, from top to bottom.
    titles : (n,) int32 ascending, titles that were shown and may not be again.
    """

    page_id: str
    snapshot: str
    seed: int
    now_ms: int
    rows: tuple[str, ...] = ()
    titles: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int32))

    def after(self, placed: Iterable[Placed]) -> Self:
        """The cursor once further rows were shown below."""
        rows = list(placed)
        shown = [row.draft.titles[row.places] for row in rows if not row.draft.owns]
        return replace(
            self,
            rows=(*self.rows, *(row.draft.key for row in rows)),
            titles=np.unique(np.concatenate([self.titles, *shown])).astype(np.int32),
        )

    def right_of(self, draft: Draft, places: Places) -> Self:
        """The cursor once further cells of a row were shown."""
        if draft.owns:
            return self
        return replace(self, titles=np.union1d(self.titles, draft.titles[places]).astype(np.int32))

    def is_taken(self, count: int) -> Mask:
        """Which of a snapshot's titles were shown, (count,) bool.

        Raises
        ------
        InputError : the snapshot has fewer titles than the cursor names.
        """
        if len(self.titles) and self.titles[-1] >= count:
            raise InputError(f"the cursor names title {self.titles[-1]} of snapshot {self.snapshot!r}, which has {count}")
        taken = np.zeros(count, dtype=np.bool_)
        taken[self.titles] = True
        return taken


def more_places(draft: Draft, is_taken: Mask, after: int, limit: int) -> Places:
    """How a row goes on to the right, (cells,) places in the draft's titles.

    Parameters
    ----------
    is_taken : (titles,) bool, what the page has shown, this row's own cells included.
    after : cells of this row that were shown; matters where the row owns its titles, which are not among those taken.
    limit : most cells.
    """
    _, first = np.unique(draft.titles, return_index=True)
    first.sort()  # (n,) places of titles, of repeated ones the first
    left = first[after:] if draft.owns else first[~is_taken[draft.titles[first]]]
    return left[:limit]


def encode(cursor: Cursor) -> str:
    """A cursor as text of letters, digits, `-` and `_`."""
    titles = _packed(np.diff(cursor.titles, prepend=-1) - 1)
    stored = _Stored(cursor.page_id, cursor.snapshot, cursor.seed, cursor.now_ms, list(cursor.rows), titles)
    sealed = codecs.seal(CURSOR_VERSION, msgspec.msgpack.encode(stored))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def decode(text: str) -> Cursor:
    """Read what `encode` wrote.

    Raises
    ------
    InputError : the text is no cursor, was cut short or altered, or is of another version.
    """
    if not isinstance(text, str) or not text or len(text) > LENGTH_LIMIT:
        raise InputError(f"the cursor is not text of 1 to {LENGTH_LIMIT} characters")
    try:
        sealed = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        stored = msgspec.msgpack.decode(codecs.unseal(sealed, CURSOR_VERSION, "the cursor"), type=_Stored)
        gaps = _unpacked(stored.titles)
    except SnapshotError as error:
        raise InputError(str(error)) from None
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise InputError(f"the cursor cannot be read: {error}") from None
    titles = np.cumsum(gaps + 1) - 1  # (n,)
    if len(titles) and titles[-1] > np.iinfo(np.int32).max:
        raise InputError(f"the cursor names title {titles[-1]}, more than any snapshot has")
    return Cursor(stored.page_id, stored.snapshot, stored.seed, stored.now_ms, tuple(stored.rows), titles.astype(np.int32))


def _packed(numbers: npt.NDArray[np.integer]) -> bytes:
    """Numbers that are not negative in 7 bits a byte, the lowest first; all bytes of a number but its last have the high bit."""
    numbers = numbers.astype(np.int64)
    digits = numbers[:, None] >> (7 * np.arange(5))  # (n, 5)
    is_there = digits > 0
    is_there[:, 0] = True
    goes_on = np.zeros_like(is_there)
    goes_on[:, :-1] = is_there[:, 1:]
    return ((digits & 0x7F) | (goes_on << 7))[is_there].astype(np.uint8).tobytes()


def _unpacked(packed: bytes) -> npt.NDArray[np.int64]:
    """Read what `_packed` wrote."""
    digits = np.frombuffer(packed, dtype=np.uint8)
    if not len(digits):
        return np.empty(0, dtype=np.int64)
    if digits[-1] & 0x80:
        raise ValueError("the last title is cut short")
    starts = np.append(0, np.flatnonzero(digits < 0x80)[:-1] + 1)  # (n,)
    lengths = np.diff(np.append(starts, len(digits)))  # (n,)
    if lengths.max() > 5:
        raise ValueError("a title has more than five bytes")
    place = np.arange(len(digits)) - np.repeat(starts, lengths)  # (bytes,)
    numbers: npt.NDArray[np.int64] = np.add.reduceat((digits & 0x7F).astype(np.int64) << (7 * place), starts)
    return numbers
