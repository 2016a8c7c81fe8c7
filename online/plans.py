"""How a request is answered: the configuration with a member's experiments put in, worked out once for each combination."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import msgspec

from online.experiments import NO_CHANGES, Changes, Known
from online.stages import Stages, load_stages
from shared.config import Config, DeviceFormat, ExplorationSettings, OnlineConfig, PageConfig, Section
from shared.dotted import load_object
from shared.pages.devices import Devices
from shared.pages.drafts import RowBuilder
from shared.pages.policies import POLICIES, PagePolicy, named_policy
from shared.pages.rows import load_rows


@dataclass(frozen=True)
class Plan:
    """All that decides about an answer besides the member's data."""

    arm: str
    stages: Stages
    builders: tuple[RowBuilder, ...]
    policy: PagePolicy
    exploration: ExplorationSettings
    online: OnlineConfig
    page: PageConfig
    devices: Devices

    def format(self, device: str) -> DeviceFormat:
        """How long the page is on a device."""
        return self.devices.format(device)


class Plans:
    """Plans for the combinations of cells that come up. Thread-safe.

    Parameters
    ----------
    rows : row builders to use where the configuration names none.

    Raises
    ------
    ConfigError : the configuration names a stage, policy or row that there is not.
    """

    def __init__(self, config: Config, rows: Sequence[RowBuilder] | None = None) -> None:
        self._config = config
        self._rows = rows
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[Changes, Plan] = WeakKeyDictionary()
        self.default = self.of(NO_CHANGES)

    @property
    def known(self) -> Known:
        """What a file of experiments may name."""
        return Known(policies=POLICIES, devices=self.default.devices.names)

    def of(self, changes: Changes) -> Plan:
        """The plan with some changes.

        Raises
        ------
        ConfigError : they name what there is not; asked for every cell when the experiments are loaded, so never in a request.
        """
        found = self._made.get(changes)
        if found is None:
            found = self._plan(changes)
            with self._lock:
                self._made[changes] = found
        return found

    def _plan(self, changes: Changes) -> Plan:
        config = self._config
        online: OnlineConfig = _with_numbers(config.online, changes.settings)
        page: PageConfig = _with_numbers(config.page, changes.settings)
        return Plan(
            arm=changes.arm or online.arm,
            stages=load_stages({**online.stages, **changes.stages}),
            builders=self._builders(changes),
            policy=_policy(changes.policy or page.policy),
            exploration=changes.exploration or config.exploration,
            online=online,
            page=page,
            devices=Devices(page, online),
        )

    def _builders(self, changes: Changes) -> tuple[RowBuilder, ...]:
        if changes.rows is not None:
            return load_rows(changes.rows)
        return load_rows(self._config.online.rows_shown) if self._rows is None else tuple(self._rows)


def _policy(name: str) -> PagePolicy:
    """A policy by its name, or made of a class of one's own."""
    if ":" not in name:
        return named_policy(name)
    made: PagePolicy = load_object(name, "[page] policy")()
    return made


S = TypeVar("S", bound=Section)


def _with_numbers(section: S, numbers: Mapping[str, int | float]) -> S:
    """A section with those of the numbers that are its own; checked like the section itself."""
    own = {name: value for name, value in numbers.items() if name in section.__struct_fields__}
    return msgspec.convert({**msgspec.structs.asdict(section), **own}, type(section)) if own else section
