import numpy as np

from offline.evaluation.floors import floors
from offline.evaluation.report import evaluate_models
from offline.interactions import Interactions
from tests.builders import checkerboard, random_interactions


def test_floors_are_those_that_the_data_allow() -> None:
    assert list(floors(checkerboard())) == ["popularity"]
    everything = floors(random_interactions())
    assert list(everything) == ["popularity", "popularity by country", "popularity lately", "popularity lately by country"]
    assert not everything["popularity"].settings.by_country
    assert everything["popularity lately"].settings.half_life_h > 0


def test_the_strongest_floor_is_shown_beside_the_plain_one() -> None:
    members = np.arange(40)
    country = np.where(members % 2 == 0, "US", "DE")
    favourite = np.where(members % 2 == 0, "us", "de")
    rows = [(f"m{m}", f"{favourite[m]}{n}", country[m]) for m in members for n in range(6) if (m + n) % 5]
    left = [(f"m{m}", f"{favourite[m]}{n}") for m in members for n in range(6) if (m + n) % 5 == 0]
    train = Interactions.from_columns(*zip(*[row[:2] for row in rows], strict=True), country=[row[2] for row in rows])
    report = evaluate_models(train, Interactions.from_columns(*zip(*left, strict=True)), {}, ["recall@2", "ndcg@2"])
    assert list(report.models) == ["popularity", "popularity by country"]
    assert report.floor == "popularity by country"
    assert report.models[report.floor].lift["all"]["recall@2"].low > 0
