"""The pages of the simulated service as values of topic `impressions`."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from infra.demo import pages
from infra.demo.catalogue import COUNTRIES, DEVICES
from infra.demo.world import World
from shared.events import SCHEMA_VERSION, Cell, Impression


def sample_pages(world: World, after_ms: int, count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """At most so many pages that were shown after a time, drawn at random, by their index, ascending."""
    shown = np.flatnonzero(world.impressions.at_ms > after_ms)
    drawn = np.random.default_rng(seed).choice(shown, min(count, len(shown)), replace=False)
    return np.sort(drawn)


def impressions(world: World, some: npt.NDArray[np.int64]) -> Iterator[Impression]:
    """Some pages, by their index, each with the chance of every cell, on the device that the member then played or mostly has."""
    titles, members = world.impressions.title[some], world.impressions.member[some]
    device = np.argmax(world.population.device_shares[world.impressions.member], axis=1)  # (pages,)
    device[world.plays.session] = world.plays.device
    chances = (world.impressions.chance[some] / pages.STEPS).tolist()  # (n, ROWS, RANKS)
    for place, page in enumerate(some.tolist()):
        yield Impression(
            schema=SCHEMA_VERSION,
            page_id=f"page-{world.name}-{page}",
            member_id=f"m{members[place]}",
            at_ms=int(world.impressions.at_ms[page]),
            snapshot="",
            fence={},
            allocation={},
            cells=[
                Cell(row=name, row_index=row, rank=rank, title_id=f"t{title}", tier="popular", propensity=chance)
                for row, name in enumerate(pages.ROW_NAMES)
                for rank, (title, chance) in enumerate(zip(titles[place, row].tolist(), chances[place][row], strict=True))
            ],
            country=COUNTRIES[world.population.country[members[place]]],
            device=DEVICES[device[page]],
        )
