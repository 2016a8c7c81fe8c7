"""How long a page is on each kind of device, and what its first screen shows. Pure.

`[page.devices.NAME]` of marquee.toml adds a kind or replaces one; `[online] rows` and `row_length` limit them all.
"""

from types import MappingProxyType

from shared.config import DeviceFormat, OnlineConfig, PageConfig
from shared.errors import InputError

DEVICES = MappingProxyType(
    {
        "tv": DeviceFormat(rows=20, row_length=40, visible_rows=3, visible_cells=6),
        "web": DeviceFormat(rows=20, row_length=40, visible_rows=3, visible_cells=6),
        "tablet": DeviceFormat(rows=15, row_length=30, visible_rows=4, visible_cells=5),
        "phone": DeviceFormat(rows=12, row_length=20, visible_rows=3, visible_cells=3),
    }
)


class Devices:
    """The formats that a deployment knows, worked out once."""

    def __init__(self, page: PageConfig, online: OnlineConfig) -> None:
        self._formats = {
            name: _limited(device, online.rows, online.row_length) for name, device in {**DEVICES, **page.devices}.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that are known."""
        return tuple(self._formats)

    def format(self, device: str) -> DeviceFormat:
        """The format of a kind of device.

        Raises
        ------
        InputError : nobody said how long a page is on such a device; names those that are known.
        """
        known = self._formats.get(device)
        if known is None:
            raise InputError(
                f"device {device!r} is unknown; one of {', '.join(sorted(self._formats))} is expected "
                f"([page.devices.NAME] of the configuration adds others)"
            )
        return known


def _limited(device: DeviceFormat, rows: int, row_length: int) -> DeviceFormat:
    rows, row_length = min(device.rows, rows), min(device.row_length, row_length)
    return DeviceFormat(
        rows=rows,
        row_length=row_length,
        visible_rows=min(device.visible_rows, rows),
        visible_cells=min(device.visible_cells, row_length),
    )
