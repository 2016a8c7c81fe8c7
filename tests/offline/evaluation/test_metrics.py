import numpy as np
import pytest

from offline.evaluation.metrics import NAMES, Background, Lists, Metric, member_values, parse_metrics
from offline.evaluation.ranking import find_hits
from shared.errors import InputError
from tests.builders import random_interactions

BOUNDS = {"popularity-lift": (-1, np.inf), "novelty": (0, np.inf), "calibration": (0, np.log(100) + 1e-9)}


def test_metric_names_are_read() -> None:
    assert Metric.parse(" ndcg@20 ") == Metric("ndcg", 20)
    assert str(Metric.parse("popularity-lift@5")) == "popularity-lift@5"
    assert parse_metrics(["ndcg@20", "ndcg@20 "]) == [Metric("ndcg", 20)]
    for wrong in ("ndcg", "ndcg@0", "gain@5", "", "recall@x"):
        with pytest.raises(InputError, match="expected one of recall, ndcg, hr, precision, mrr, map, novelty"):
            Metric.parse(wrong)
    with pytest.raises(InputError, match="no metrics"):
        parse_metrics([])


@pytest.mark.parametrize("seed", range(5))
def test_values_keep_within_their_bounds(seed: int) -> None:
    world = random_interactions(seed=seed)
    genres = {title: [f"genre {number % 3}"] for number, title in enumerate(world.title_ids)}
    random = np.random.default_rng(seed)
    titles = np.array([random.permutation(30)[:10] for _ in range(60)], np.int32)
    test = random_interactions(seed=seed + 100).matrix
    lists = Lists(titles, find_hits(titles, test), np.diff(test.indptr), world.matrix)
    metrics = [Metric(name, k) for name in NAMES for k in (2, 10, 50) if not Metric(name, k).of_catalogue]
    values = member_values(lists, metrics, Background(world, genres))
    assert not np.isnan(values).any()
    for column, metric in enumerate(metrics):
        low, high = BOUNDS.get(metric.name, (0, 1 + 1e-6))
        assert low <= values[:, column].min() <= values[:, column].max() <= high, metric


def test_members_with_nothing_to_find_have_no_value_of_hits() -> None:
    world = random_interactions(members=2)
    lists = Lists(np.zeros((2, 1), np.int32), np.array([[True], [False]]), np.array([1, 0]), world.matrix)
    values = member_values(lists, [Metric("ndcg", 1), Metric("novelty", 1)], Background(world, None))
    assert values[0, 0] == 1.0
    assert np.isnan(values[1, 0])
    assert not np.isnan(values[:, 1]).any()


def test_genres_that_are_needed_are_asked_for() -> None:
    with pytest.raises(InputError, match="need a file of titles"):
        _ = Background(random_interactions(), None).genre_shares
