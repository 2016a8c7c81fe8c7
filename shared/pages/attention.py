"""How likely each cell of a page is looked at: a browse model with few parameters, evaluated once for each device. Pure.

    examined(row, cell) = first * down(row) * right(cell)

Members look down a page and along its rows on their own, so the two directions multiply, as in the carousel click model of
Rahdari, Kveton and Brusilovsky, "From Ranked Lists to Carousels" (2022). Along each direction attention falls geometrically, as
in rank-biased precision (Moffat and Zobel, 2008), or by a power of the position, as position bias was found to in lists of
search results (Joachims, Swaminathan and Schnabel, 2017), or by both, and falls once more where a member has to scroll or to
swipe: eye tracking finds that scanning from top to bottom carries over to carousels, and that swiping is much the rarer step
(Kang, de Rijke and Oosterhuis, arXiv 2604.21019, who also find that the two directions are not quite independent).

`offline` fits the parameters to impressions; a snapshot carries them as its array "attention".
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from shared.config import DeviceFormat
from shared.errors import SnapshotError
from shared.pages.serving import Scores

ARRAY = "attention"
"""Name of the parameters among a snapshot's arrays."""


@dataclass(frozen=True, slots=True)
class BrowseModel:
    """The parameters; the logarithm of `examined` is linear in all of them and in the logarithms of the three chances.

    Attributes
    ----------
    first : chance that the very first cell is looked at, above 0 to 1.
    down_rate, right_rate : geometric decay, exp(-rate) from each row or cell to the next; not negative.
    down_power, right_power : decay with the position counted from 1, position ** -power; not negative.
    scroll : chance to go on below the rows of the first screen, above 0 to 1.
    swipe : chance to go on to the right of the cells of the first screen, above 0 to 1.
    """

    first: float = 1.0
    down_rate: float = 0.1
    down_power: float = 0.0
    right_rate: float = 0.1
    right_power: float = 0.0
    scroll: float = 0.7
    swipe: float = 0.5

    def __post_init__(self) -> None:
        for name in ("first", "scroll", "swipe"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; a chance above 0 and up to 1 is expected")
        for name in ("down_rate", "down_power", "right_rate", "right_power"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; a finite number that is not negative is expected")

    def to_array(self) -> Scores:
        """The parameters in the order of the fields, (parameters,) float32."""
        return np.array(astuple(self), dtype=np.float32)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], version: str) -> Self:
        """The parameters among a snapshot's arrays; the defaults where it has none.

        Raises
        ------
        SnapshotError : the array has another shape, or values that cannot be.
        """
        array = arrays.get(ARRAY)
        if array is None:
            return cls()
        if array.shape != (len(fields(cls)),) or array.dtype.kind != "f":
            raise SnapshotError(
                f"snapshot {version!r}: {ARRAY} is {array.dtype} of shape {array.shape}; {len(fields(cls))} floats are expected"
            )
        try:
            return cls(*array.tolist())
        except ValueError as error:
            raise SnapshotError(f"snapshot {version!r}: {ARRAY}: {error}") from None

    def on(self, device: DeviceFormat) -> "Attention":
        """The model evaluated for the page of one device."""
        down = _falling(device.rows, device.visible_rows, self.down_rate, self.down_power, self.scroll)  # (rows,)
        right = _falling(device.row_length, device.visible_cells, self.right_rate, self.right_power, self.swipe)  # (cells,)
        return Attention((self.first * down).astype(np.float32), right.astype(np.float32))


@dataclass(frozen=True, slots=True)
class Attention:
    """The browse model on one device.

    Attributes
    ----------
    down : (rows,) float32, chance that the first cell of each row is looked at; not increasing.
    right : (cells,) float32, chance that a cell is, relative to the first of its row; not increasing, begins with 1.
    """

    down: Scores
    right: Scores

    @property
    def matrix(self) -> Scores:
        """Chance that each cell is looked at, (rows, cells) float32."""
        return np.outer(self.down, self.right)  # (rows, cells)


def _falling(count: int, visible: int, rate: float, power: float, beyond: float) -> npt.NDArray[np.float64]:
    """Attention at each of `count` positions relative to the first one, (count,)."""
    at = np.arange(count, dtype=np.float64)
    return np.exp(-rate * at) * (1.0 + at) ** -power * np.where(at < visible, 1.0, beyond)  # (count,)
