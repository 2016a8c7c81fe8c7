"""The built-in world as the files that `python -m offline evaluate-pages` reads, and its page policies side by side."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from infra.demo.impressions import impressions
from infra.demo.world import World
from offline.evaluation.pages import replay
from offline.evaluation.pages.past import History
from offline.evaluation.pages.report import PageReport
from shared import events
from shared.config import Config


class Size(NamedTuple):
    """How much is simulated; `seed` makes another world."""

    members: int = 2_000
    titles: int = 1_000
    plays: int = 80_000
    seed: int = 7


def write_files(world: World, folder: Path) -> Path:
    """Write titles and plays to a folder, and all pages beside them; where those are."""
    world.write(folder)
    path = folder / "impressions.jsonl"
    with path.open("wb") as lines:
        for page in impressions(world, np.arange(len(world.impressions))):
            lines.write(events.encode(page) + b"\n")
    return path


def measure(size: Size, plan: replay.Plan, say: Callable[[str], None]) -> PageReport:
    """Simulate, then evaluate with the browse model fitted to the pages before the cut.

    Raises
    ------
    InputError : a size that the simulation cannot do, or too small a world to judge pages by.
    """
    world = World.generate(members=size.members, titles=size.titles, plays=size.plays, seed=size.seed)
    config = Config()
    with tempfile.TemporaryDirectory(prefix="marquee-pages-") as name:
        shown = write_files(world, Path(name))
        history = History.read(name)
        browse = replay.browse_model(shown, history, config, plan)
    return replay.evaluate_pages(history, config, plan, browse, say=say)
