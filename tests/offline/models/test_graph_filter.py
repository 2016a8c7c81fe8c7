import numpy as np
import pytest
from scipy import sparse

from offline.models import Graph, GraphSettings
from offline.models.links import find_links, strongest
from offline.models.spectrum import leading
from tests.builders import random_interactions


def slow_scores(played: np.ndarray, settings: GraphSettings) -> tuple[np.ndarray, np.ndarray]:
    """Both filters, from their definition and titles x titles: the linear one's scores, and the low-pass one's unscaled."""
    members, titles = played.sum(axis=1, keepdims=True), played.sum(axis=0)
    scaled = played * members**-settings.member_exponent
    common = scaled.T @ scaled
    np.fill_diagonal(common, 0)
    links = common**settings.link_power * titles[:, None] ** -settings.from_exponent * titles**-settings.to_exponent
    smooth = played * members**-settings.low_pass_member_exponent * titles**-settings.low_pass_title_exponent
    values, vectors = np.linalg.eigh(smooth.T @ smooth)
    kept = np.argsort(-values)[: settings.rank]
    kept = kept[values[kept] >= settings.low_pass_cut * values.max()]
    filtered = (vectors[:, kept] * values[kept] ** settings.low_pass_power) @ vectors[:, kept].T
    low = (played * titles**-settings.low_pass_from_exponent) @ filtered * titles**settings.low_pass_to_exponent
    return played @ links, low


@pytest.mark.parametrize("changed", [{}, {"rank": 4}, {"low_pass_cut": 0.2}, {"low_pass": 0.0, "link_power": 1.0}])
def test_scores_equal_the_definition(changed: dict[str, float]) -> None:
    world = random_interactions(200, 60)
    settings = GraphSettings(**changed)
    linear, low = slow_scores((world.matrix.toarray() > 0).astype(np.float64), settings)
    expected = linear + settings.low_pass * linear.std() / low.std() * low
    top = Graph(settings).fit(world).recommend(np.arange(200), 60)
    np.testing.assert_allclose(top.scores, np.take_along_axis(expected, top.titles, 1), rtol=2e-3, atol=2e-3)


def test_contributions_add_up_to_the_score() -> None:
    world = random_interactions()
    model = Graph().fit(world)
    top = model.recommend_from(world, 3, exclude=world.matrix)
    titles, added = model.contributions(world, 8, int(top.titles[8, 0]))
    assert sorted(titles) == world.matrix[[8]].indices.tolist()
    assert added.sum() == pytest.approx(top.scores[8, 0], rel=1e-4)


@pytest.mark.parametrize("titles", [30, 300])
def test_links_are_bounded_and_the_strongest(titles: int) -> None:
    matrix = random_interactions(120, titles).matrix
    ones = np.ones(titles, np.float32)
    every = find_links(matrix, 1.0, ones, ones, titles).toarray()
    expected = (matrix.T @ matrix).toarray()
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(every, expected, rtol=1e-5)
    some = find_links(matrix, 1.0, ones, ones, 5)
    assert np.diff(some.indptr).max() == 5
    np.testing.assert_allclose(some.toarray(), np.where(some.toarray() > 0, every, 0), rtol=1e-6)
    np.testing.assert_allclose(np.sort(some.toarray())[:, -5:], np.sort(every)[:, -5:], rtol=1e-6)


def test_of_links_alike_the_first_titles_are_kept() -> None:
    alike = sparse.csr_array(np.array([[1, 3, 1, 1, 0, 1]], np.float32))
    assert strongest(alike, 3).toarray().tolist() == [[1, 3, 1, 0, 0, 0]]


def decaying(rows: int, columns: int) -> np.ndarray:
    """A matrix whose k-th singular value is 0.9^k."""
    random = np.random.default_rng(3)
    left, right = (np.linalg.qr(random.standard_normal((side, min(rows, columns))))[0] for side in (rows, columns))
    return ((left * 0.9 ** np.arange(left.shape[1])) @ right.T).astype(np.float32)


@pytest.mark.parametrize(("rows", "columns"), [(640, 560), (560, 640), (40, 300), (300, 40)])  # searched for, or exact
def test_leading_eigenpairs(rows: int, columns: int) -> None:
    dense = decaying(rows, columns)
    values, vectors = leading(sparse.csr_array(dense), 12, seed=1)
    np.testing.assert_allclose(values, 0.81 ** np.arange(12), rtol=1e-4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(12), atol=1e-5)
    np.testing.assert_allclose(dense.T @ (dense @ vectors), vectors * values, atol=1e-4)


def test_leading_eigenpairs_of_a_matrix_of_low_rank() -> None:
    dense = np.zeros((700, 600), np.float32)
    dense[:, ::3], dense[:90, 1::3] = 1.0, 2.0
    values, vectors = leading(sparse.csr_array(dense), 10, seed=1)
    expected = np.linalg.svd(dense.astype(np.float64), compute_uv=False) ** 2
    np.testing.assert_allclose(values, expected[:2], rtol=1e-4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(2), atol=1e-5)


def test_the_same_seed_gives_the_same_pairs() -> None:
    matrix = random_interactions(700, 600).matrix
    for one, other in zip(leading(matrix, 8, seed=5), leading(matrix, 8, seed=5), strict=True):
        np.testing.assert_array_equal(one, other)
