"""How long pages are, by device."""

import pytest

from shared.config import DeviceFormat, OnlineConfig, PageConfig
from shared.errors import InputError
from shared.pages.devices import DEVICES, Devices

WIDE = OnlineConfig(rows=100, row_length=100)


def test_a_device_has_its_own_page_within_the_limits_of_the_service() -> None:
    assert Devices(PageConfig(), WIDE).format("phone") == DEVICES["phone"]
    assert Devices(PageConfig(), OnlineConfig(rows=2, row_length=2)).format("tv") == DeviceFormat(
        rows=2, row_length=2, visible_rows=2, visible_cells=2
    )


def test_a_deployment_adds_and_replaces_devices() -> None:
    watch = DeviceFormat(rows=3, row_length=5, visible_rows=1, visible_cells=1)
    devices = Devices(PageConfig(devices={"watch": watch, "tv": watch}), WIDE)
    assert devices.format("watch") == devices.format("tv") == watch
    assert devices.format("web") == DEVICES["web"]


def test_an_unknown_device_is_named_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match="device 'fridge' is unknown; one of phone, tablet, tv, web is expected"):
        Devices(PageConfig(), WIDE).format("fridge")
