"""What is near a title: neighbours first, behind them theirs, never the title itself."""

import numpy as np

from shared.pages.neighbourhoods import SIZE, Neighbourhoods
from tests.shared.pages.rows.drafting import served


def test_neighbours_come_first_and_theirs_behind() -> None:
    serving = served()
    around = Neighbourhoods.of(serving)
    assert Neighbourhoods.of(serving) is around
    for title in (0, 17, 239):
        titles, nearness = around.around(title)
        own = [near for near in serving.similar_titles[title].tolist() if near < serving.count]
        scores = dict(zip(own, serving.similar_scores[title].tolist(), strict=False))
        kept = [near for near in own if scores[near] > 0]
        assert set(titles[: len(kept)].tolist()) == set(kept)
        theirs = {near for other in kept for near in serving.similar_titles[other].tolist()} - {title, serving.count}
        assert set(titles[len(kept) :].tolist()) <= theirs
        assert len(titles) == len(set(titles.tolist())) <= SIZE
        assert title not in titles
        assert np.all(np.diff(nearness) <= 0) and nearness[-1] > 0
        assert nearness[: len(kept)].tolist() == sorted((scores[near] for near in kept), reverse=True)
