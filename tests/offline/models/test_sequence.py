"""The sequence transformer: what it learns, that it cannot look ahead, and that packing, going on and numpy change nothing."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from offline.interactions import Interactions, id_array
from offline.models import Pass, SequenceModel, SequenceSettings
from offline.models.sequence.batches import Batch, epoch, lay_out, newest, rows_of, windows
from offline.models.sequence.histories import Histories
from offline.models.sequence.holdout import hold_out
from offline.models.sequence.network import Encoder, dropped
from offline.training.checkpoint import CheckpointFolder
from shared.errors import InputError, ModelError
from shared.sequence_inference import GAPS, Plays, SequenceInference, gap_buckets
from tests.builders import random_interactions

SMALL: dict[str, Any] = {
    "dim": 16,
    "layers": 1,
    "heads": 2,
    "epochs": 6,
    "batch_positions": 256,
    "learning_rate": 0.02,
    "warm_up_steps": 10,
    "dropout": 0.1,
    "averaging": 0.9,
}
DAY_MS = 86_400_000


def small(**settings: Any) -> SequenceModel:
    return SequenceModel(SequenceSettings(**{**SMALL, **settings}))


def played(rows: list[list[int]], titles: int, at_ms: list[list[int]] | None = None, weight: Any = None) -> Interactions:
    """Interactions from each member's titles in order; a second apart where no times are given."""
    times = [list(range(0, 1000 * len(row), 1000)) for row in rows] if at_ms is None else at_ms
    weights = [[1.0] * len(row) for row in rows] if weight is None else weight
    cells = sorted(
        (member, title, when, heavy)
        for member, row in enumerate(rows)
        for title, when, heavy in zip(row, times[member], weights[member], strict=True)
    )
    members, columns, whens, data = (np.array(column) for column in zip(*cells, strict=True))
    matrix = sparse.csr_array((data.astype(np.float32), (members, columns)), shape=(len(rows), titles))
    ids = [id_array([f"{letter}{number:03}" for number in range(count)]) for letter, count in (("m", len(rows)), ("t", titles))]
    return Interactions(ids[0], ids[1], matrix, whens.astype(np.int64))


def stepping(members: int = 600, titles: int = 20, length: int = 6) -> Interactions:
    """Each title is followed by the one seven places on, from wherever a member begins."""
    random = np.random.default_rng(0)
    return played([[(first + 7 * i) % titles for i in range(length)] for first in random.integers(titles, size=members)], titles)


def random_histories(members: int = 30, titles: int = 40, longest: int = 25, seed: int = 0) -> Histories:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, longest, members)
    start = np.concatenate([[0], np.cumsum(lengths)])
    plays = int(start[-1])
    shares = random.random(plays, np.float32)
    return Histories(start, random.integers(titles, size=plays), random.integers(GAPS, size=plays), shares, np.arange(plays))


@pytest.mark.parametrize("whole_catalogue", [20, 6])  # the loss over all titles, and over a sample of six
def test_learns_which_title_comes_next(whole_catalogue: int) -> None:
    world = stepping()
    model = small(whole_catalogue=whole_catalogue).fit(world)
    histories = played([[3, 10, 17], [10, 3], [19]], 20)
    np.testing.assert_array_equal(model.recommend_from(histories, 1).titles[:, 0], [4, 10, 6])


def test_without_times_no_order_is_learnt() -> None:
    world = stepping()
    ordered, unordered = Histories.of(world, 1.0), Histories.of(replace(world, at_ms=None), 1.0)
    random = np.random.default_rng(1)
    assert ordered.shuffled(random) is ordered
    mixed = unordered.shuffled(random)
    assert (mixed.titles != unordered.titles).any()
    rows = mixed.titles.reshape(-1, 6)
    np.testing.assert_array_equal(np.sort(rows, axis=1), unordered.titles.reshape(-1, 6))
    assert len({tuple(np.argsort(row)) for row in rows.tolist()}) > 100


def test_plays_at_one_time_change_places_with_each_other_only() -> None:
    histories = Histories.of(played([[0, 1, 2, 3], [4, 5]], 6, [[7, 9, 9, 9], [9, 9]]), 1.0)
    orders = [histories.shuffled(np.random.default_rng(seed)) for seed in range(40)]
    assert {tuple(each.titles.tolist()) for each in orders} == {
        (0, *three, *two) for three in itertools.permutations([1, 2, 3]) for two in ([4, 5], [5, 4])
    }
    assert all((each.gaps == histories.gaps).all() for each in orders)


def test_plays_of_weight_zero_are_no_plays() -> None:
    world = played([[0, 1, 2], [2, 1]], 3, weight=[[1.0, 0.0, 1.0], [0.0, 0.0]])
    histories = Histories.of(world, 1.0)
    assert histories.titles.tolist() == [0, 2]
    assert histories.lengths.tolist() == [2, 0]


def test_the_past_does_not_see_the_future() -> None:
    histories = random_histories(6)
    encoder = Encoder(SequenceSettings(**SMALL, max_length=30)).eval()
    vectors = torch.randn(40, 16)

    def outcome(batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            return encoder(batch, vectors)

    spans = newest(histories, 30)
    batch = lay_out(histories, spans, np.arange(6), 30, see_last=True)
    changed = batch._replace(titles=batch.titles.clone())
    member = int(np.argmax(histories.lengths))
    assert batch.titles[member, 9] >= 0
    changed.titles[member, 9] = (changed.titles[member, 9] + 1) % 40
    before, after = outcome(batch), outcome(changed)
    torch.testing.assert_close(before[member, :9], after[member, :9], rtol=0, atol=0)
    assert (before[member, 9:12] != after[member, 9:12]).any(dim=1).all()


def test_packed_equals_padded() -> None:
    histories = random_histories(seed=3)
    encoder = Encoder(SequenceSettings(**SMALL, use_gaps=True, use_shares=True, max_length=30)).eval()
    torch.nn.init.normal_(encoder.gaps)
    torch.nn.init.normal_(encoder.share)
    vectors = torch.randn(40, 16)
    spans = newest(histories, 25)
    spans = spans.take(np.flatnonzero(spans.lengths))
    alone = lay_out(histories, spans, np.arange(len(spans.start)), 30, see_last=False)
    row = rows_of(spans.lengths, 30)
    packed = lay_out(histories, spans, row, 30, see_last=False)
    assert len(packed.titles) < len(alone.titles) / 1.5
    with torch.no_grad():
        expected, found = encoder(alone, vectors), encoder(packed, vectors)
    torch.testing.assert_close(found[packed.sequence >= 0], expected[alone.sequence >= 0], rtol=1e-4, atol=1e-5)
    for one, other in zip(packed, alone, strict=True):
        torch.testing.assert_close(one[packed.sequence >= 0], other[alone.sequence >= 0])


def test_an_epoch_predicts_every_play_once() -> None:
    histories = random_histories(50, titles=200, longest=40, seed=4)
    spans = windows(histories, 9, np.random.default_rng(0))
    assert spans.lengths.min() > 0
    assert spans.lengths.max() == 9
    covered = np.concatenate([np.arange(start, stop) for start, stop in zip(*spans, strict=True)])
    np.testing.assert_array_equal(np.sort(covered), np.arange(len(histories.titles)))
    batches = list(epoch(histories, 9, 90, 2, np.random.default_rng(0)))
    targets = torch.cat([part.targets.flatten() for parts in batches for part in parts])
    np.testing.assert_array_equal(np.sort(targets[targets >= 0].numpy()), np.sort(histories.titles))
    assert all(part.titles.shape[1] == 9 and part.titles.numel() <= 45 for parts in batches for part in parts)


def test_held_out_plays_are_not_trained_on() -> None:
    histories = Histories.of(stepping(), 1.0)
    trained, holdout = hold_out(histories, np.ones(20, np.bool_), 55, np.random.default_rng(0))
    assert holdout is not None
    assert (len(holdout.targets), len(trained.titles)) == (55, 600 * 6 - 55)
    assert (trained.lengths == 5).sum() == 55
    np.testing.assert_array_equal(holdout.histories.lengths, 5)
    last = holdout.histories.titles[holdout.histories.start[1:] - 1]
    np.testing.assert_array_equal(holdout.targets, (last + 7) % 20)
    few = random_histories()
    assert hold_out(few, np.ones(40, np.bool_), 5_000, np.random.default_rng(0)) == (few, None)  # too few to tell anything


def test_validating_changes_nothing() -> None:
    _, holdout = hold_out(Histories.of(stepping(), 1.0), np.ones(20, np.bool_), 55, np.random.default_rng(0))
    assert holdout is not None
    order = holdout.histories.titles.copy()
    model = small(epochs=1).fit(stepping())
    vectors = torch.from_numpy(model.title_vectors)
    found = [holdout.ndcg(model.encoder, vectors, model.settings.max_length) for _ in range(2)]
    assert found[0] == found[1]
    np.testing.assert_array_equal(holdout.histories.titles, order)


def test_training_ends_where_validation_does_not_improve_and_keeps_the_best() -> None:
    passes: list[Pass] = []
    model = small(epochs=40, patience=2).fit(stepping(), passes.append)
    assert len(passes) < 40
    assert "validation ndcg@10" in passes[-1].said
    assert model.figures()["validation ndcg@10"] > 0.9
    assert f"after epoch {len(passes) - 2}" in passes[-1].said


class Interrupted(Exception):
    pass


def test_goes_on_to_the_same_weights_with_a_holdout(tmp_path: Path) -> None:
    world = stepping()
    expected = small(epochs=4).fit(world)

    def interrupt(done: Pass) -> None:
        if done.number == 2:
            raise Interrupted

    def folder() -> CheckpointFolder:
        return CheckpointFolder(tmp_path, "sequence", "the same", every_s=0.0)

    with pytest.raises(Interrupted):
        small(epochs=4).fit(world, interrupt, folder())
    resumed = small(epochs=4).fit(world, None, folder())
    for name, array in expected._arrays().items():
        np.testing.assert_array_equal(resumed._arrays()[name], array, err_msg=name)


def test_threads_do_not_change_the_model() -> None:
    world, threads = stepping(200), torch.get_num_threads()
    fitted = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            fitted.append(small(epochs=1, batch_positions=2048).fit(world))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(fitted[0].title_vectors, fitted[1].title_vectors)


def genres(cold: bool) -> Interactions:
    """Members play titles of one of two genres. Titles 20 to 22 have no plays; of them 20 is of genre 0, 21 of genre 1."""
    random = np.random.default_rng(2)
    rows = [(2 * random.permutation(10)[:6] + member % 2).tolist() for member in range(200)]
    world = played(rows, 23)
    features = np.zeros((23, 2), np.float32)
    features[np.arange(22), np.arange(22) % 2] = 1
    return replace(world, title_features=sparse.csr_array(features)) if cold else world


def test_titles_without_plays_are_found_by_their_features() -> None:
    world = genres(cold=True)
    model = small(epochs=4).fit(world)
    top = model.recommend(np.arange(200), 23, exclude=world.matrix).titles
    place = np.array([[list(row).index(title) for title in (20, 21, 22)] for row in top])
    even = np.arange(200) % 2 == 0
    assert (place[even, 0] < place[even, 1]).mean() > 0.95
    assert (place[~even, 1] < place[~even, 0]).mean() > 0.95
    assert place[even, 0].mean() < 6  # of the genre, four titles with plays are left beside it
    assert (place[:, 2] == 16).all()  # nothing is known of it


def test_titles_without_plays_come_last_where_nothing_is_known_of_them() -> None:
    world = genres(cold=False)
    top = small(epochs=1).fit(world).recommend(np.arange(200), 23, exclude=world.matrix)
    assert (top.titles[:, :14] < 20).all()
    assert (np.sort(top.titles[:, 14:17], axis=1) == [20, 21, 22]).all()
    assert np.isfinite(top.scores[:, :17]).all()


def test_gaps_are_told() -> None:
    """Title 2 follows a play within a minute of the one before, title 3 one after a day."""
    near = np.random.default_rng(3).random(600) < 0.5
    rows = [[0, 1, 2 if each else 3] for each in near]
    at_ms = [[0, 30_000 if each else DAY_MS, 2 * DAY_MS] for each in near]
    model = small(use_gaps=True).fit(played(rows, 4, at_ms))
    asked = played([[0, 1], [0, 1]], 4, [[0, 40_000], [0, 2 * DAY_MS]])
    np.testing.assert_array_equal(model.recommend_from(asked, 1).titles[:, 0], [2, 3])


def test_shares_are_told() -> None:
    """Title 1 follows a title watched to its end, title 2 one left at once."""
    ended = np.random.default_rng(3).random(600) < 0.5
    rows = [[0, 1 if each else 2] for each in ended]
    weight = [[2.0 if each else 0.1, 1.0] for each in ended]
    model = small(use_shares=True).fit(played(rows, 3, weight=weight))
    asked = played([[0], [0]], 3, weight=[[2.0], [0.1]])
    np.testing.assert_array_equal(model.recommend_from(asked, 1).titles[:, 0], [1, 2])


def test_gaps_need_times() -> None:
    with pytest.raises(ModelError, match="use_gaps needs the times"):
        small(use_gaps=True).fit(replace(stepping(20), at_ms=None))


def test_features_of_other_titles_are_refused() -> None:
    with pytest.raises(InputError, match="19 rows of title features for 20 titles"):
        replace(stepping(20), title_features=sparse.csr_array(np.ones((19, 2), np.float32)))


def test_gap_buckets_grow_with_the_gap() -> None:
    gaps = np.array([0, 999, 1000, 2999, 3001, 60_000, DAY_MS, 400 * DAY_MS, 10**15])
    assert gap_buckets(gaps).tolist() == [0, 0, 0, 0, 1, 3, 10, 15, GAPS - 1]


@pytest.mark.parametrize("told", [False, True])
def test_numpy_encodes_as_torch_does(told: bool) -> None:
    world = random_interactions(80, 30, share=0.4)
    model = small(layers=2, use_gaps=told, use_shares=told, epochs=2, max_length=9).fit(world)
    light = SequenceInference(model.inference_arrays())
    assert world.at_ms is not None
    histories = []
    for member in range(80):
        entries = np.arange(world.matrix.indptr[member], world.matrix.indptr[member + 1])
        entries = entries[np.argsort(world.at_ms[entries], kind="stable")]
        histories.append(Plays(world.matrix.indices[entries], world.at_ms[entries], world.matrix.data[entries]))
    vectors = light.vectors([*histories, Plays(np.array([], np.int64), None, np.array([], np.float32))])
    np.testing.assert_allclose(vectors[:-1], model.member_vectors, rtol=1e-4, atol=1e-5)
    assert not vectors[-1].any()


def test_dropout_keeps_the_mean() -> None:
    random = torch.Generator().manual_seed(0)
    values = torch.ones(1000, 100)
    out = dropped(values, 0.3, random)
    assert abs(float((out == 0).float().mean()) - 0.3) < 0.01
    assert abs(float(out.mean()) - 1) < 0.01
    assert dropped(values, 0.3, None) is values


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(ModelError, match="expected a smaller learning_rate"):
        small(learning_rate=1e38).fit(stepping(200))


@pytest.mark.parametrize(
    ("name", "value"),
    [("dim", 0), ("dim", 18), ("dropout", 1.0), ("averaging", -0.1), ("max_length", 1), ("precision", "fp8"), ("patience", 0)],
)
def test_settings_that_cannot_be_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"sequence: {name} is"):
        SequenceSettings(**{"heads": 4, name: value})
