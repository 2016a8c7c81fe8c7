"""The evaluation on the lake: what is held out, what is known, and what the night's run keeps of it."""

import numpy as np
import pytest

from offline import evaluate
from offline.evaluate import on_lake
from shared import tables
from shared.config import Config
from shared.errors import InputError
from tests.offline.pipeline import add_titles, context, play_rows, plays

pytestmark = pytest.mark.slow


def test_models_are_compared_on_the_newest_plays(config: Config) -> None:
    job = context(config)
    lake = job.lake
    with pytest.raises(InputError, match="holds no plays to evaluate on"):
        on_lake(lake, {"ials": ("ials", {})}, ["recall@5"], 0.2)
    add_titles(lake)
    made = plays(600)
    lake.append(play_rows(lake, made), tables.PLAYS)
    models = {"small": ("ials", {"factors": 2}), "large": ("ials", {"factors": 8})}
    metrics = ["recall@5", "calibration@5", "coverage@5"]
    report = on_lake(lake, models, metrics, 0.3, segments=["country", "activity"], baseline="small")
    assert "the newest 30% held out, of which each member's earlier half is known" in report.to_text()
    assert list(report.models["large"].lift["all"]) == metrics
    assert report.segments["country"] == ["country: DE", "country: US"]

    # Of the titles that a member played in the newest three tenths, and not before, the later half is to be found.
    cut = np.sort([play.at_ms for play in made])[int(0.7 * len(made))]
    to_find = 0
    for member in {play.member_id for play in made}:
        mine = [play for play in made if play.member_id == member]
        before = {play.title_id for play in mine if play.at_ms < cut}
        latest = {play.title_id: play.at_ms for play in sorted(mine, key=lambda play: play.at_ms) if play.at_ms >= cut}
        later = sorted(latest, key=lambda title: latest[title])[(len(latest) + 1) // 2 :]
        to_find += len(set(later) - before)
    assert abs(report.test_titles - to_find) <= 3  # the quantile may fall some plays off, and glances are nothing to find

    evaluate.work(job)
    kept = lake.read(tables.METRICS).where("metric = 'calibration@20'").collect()
    assert "popularity" in {row["model"] for row in kept}
    assert len(kept) > 1  # the model in use as well
    assert all(row["low"] <= row["mean"] <= row["high"] for row in kept)
