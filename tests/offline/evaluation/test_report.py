"""The protocol on worlds small enough to reckon by hand, and the table and JSON that come out."""

import json
import tracemalloc

import msgspec
import numpy as np
import pytest

from offline.evaluation.protocol import prepare, rank
from offline.evaluation.report import Report, evaluate_models
from offline.interactions import Interactions
from offline.models import IALS, IALSSettings, Popularity
from shared.errors import InputError
from tests.builders import checkerboard, interactions_of, random_interactions


def even_and_odd(size: int = 40) -> tuple[Interactions, Interactions]:
    """A checkerboard and what it leaves out: member i has yet to find title i."""
    train = checkerboard(size)
    return train, interactions_of(np.eye(size))


def test_ials_finds_what_popularity_cannot() -> None:
    train, test = even_and_odd()
    report = evaluate_models(train, test, {"ials": IALS(IALSSettings(factors=4))}, ["recall@1", "ndcg@5", "coverage@1"])
    assert list(report.models) == ["popularity", "ials"]
    found = report.models["ials"]
    assert found.metrics["all"]["recall@1"].mean == 1.0
    assert found.lift["all"]["recall@1"].low > 0.5
    assert found.metrics["all"]["coverage@1"].mean == 1.0
    assert "coverage@1" not in found.metrics["known"]
    assert report.models["popularity"].lift["all"] == {}
    assert report.members == {"all": 40, "known": 40}


def test_seen_titles_are_left_out_and_are_no_test_titles() -> None:
    train = interactions_of(np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]))
    test = interactions_of(np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]))
    task = prepare(train, test, None, keep_seen=False)
    assert task.member_ids.tolist() == ["m000", "m002"]  # m001 has nothing left to find
    assert task.relevant.tolist() == [1, 1]
    ranked = rank(Popularity().fit(train), task, 4).titles
    assert ranked.tolist() == [[2, 3, -1, -1], [1, 2, -1, -1]]
    kept = prepare(train, test, None, keep_seen=True)
    assert kept.relevant.tolist() == [2, 1, 1]
    assert rank(Popularity().fit(train), kept, 1).titles.tolist() == [[0], [0], [0]]


def test_unknown_titles_are_misses_and_unknown_members_are_served() -> None:
    train = Interactions.from_columns([*"aab"], [*"xyx"])
    test = Interactions.from_columns([*"aac"], [*"qrx"])
    report = evaluate_models(train, test, {}, ["recall@2", "hr@2"])
    assert report.members == {"all": 2, "known": 1}
    assert report.unknown_titles == 2
    assert report.models["popularity"].metrics["all"]["hr@2"].mean == 0.5  # c is found x, a's titles are unknown
    assert report.models["popularity"].metrics["known"]["hr@2"].mean == 0.0


def test_nobody_with_a_history_is_an_empty_group() -> None:
    report = evaluate_models(
        Interactions.from_columns([*"ab"], [*"xy"]), Interactions.from_columns(["new"], ["x"]), {}, ["recall@2", "coverage@2"]
    )
    assert report.members == {"all": 1, "known": 0}
    assert report.models["popularity"].metrics["known"] == {}
    assert report.models["popularity"].metrics["all"]["recall@2"].mean == 1.0
    assert "test members with a history: 0" in report.to_text()


def test_context_is_folded_in_and_left_out() -> None:
    train, _ = even_and_odd()
    context = Interactions.from_columns(["new"] * 3, ["t000", "t002", "t004"])
    test = Interactions.from_columns(["new"] * 2, ["t004", "t006"])
    task = prepare(train, test, context, keep_seen=False)
    assert task.relevant.tolist() == [1]  # t004 is in the context
    assert task.has_history.tolist() == [True]
    ranked = rank(IALS(IALSSettings(factors=4)).fit(train), task, 17).titles[0]
    assert (ranked % 2 == 0).all()
    assert not {0, 2, 4} & set(ranked.tolist())


def test_zero_weights_in_the_test_are_nothing_to_find() -> None:
    train = Interactions.from_columns([*"ab"], [*"xy"])
    test = Interactions.from_columns([*"ab"], [*"yx"], weight=[0, 1])
    assert prepare(train, test, None, keep_seen=False).member_ids.tolist() == ["b"]


def test_what_the_context_knows_is_nothing_to_find_though_training_does_not_know_it() -> None:
    train = Interactions.from_columns([*"ab"], [*"xy"])
    context = Interactions.from_columns([*"ab"], ["new", "y"])
    test = Interactions.from_columns([*"aab"], ["new", "y", "other"])
    task = prepare(train, test, context, keep_seen=False)
    assert (task.member_ids.tolist(), task.relevant.tolist(), task.unknown_titles) == (["a", "b"], [1, 1], 1)
    kept = prepare(train, test, context, keep_seen=True)
    assert (kept.relevant.tolist(), kept.unknown_titles) == ([2, 1], 2)


def test_nothing_to_find_is_refused() -> None:
    train = Interactions.from_columns([*"ab"], [*"xy"])
    with pytest.raises(InputError, match="no member of the test set"):
        evaluate_models(train, train, {}, ["recall@1"])
    with pytest.raises(InputError, match="no metrics"):
        evaluate_models(train, train, {}, [])


def test_text_and_json() -> None:
    train, test = even_and_odd(10)
    report = evaluate_models(train, test, {"ials": IALS(IALSSettings(factors=4))}, ["recall@1", "coverage@1"])
    text = report.to_text()
    assert "all test members: 10, too few for the intervals to mean much" in text
    assert "recall@1    popularity  0" in text
    assert "the strongest floor is 'popularity'" in text
    assert msgspec.json.decode(report.to_json(), type=Report) == report
    tree = json.loads(report.to_json())
    assert tree["models"]["ials"]["settings"]["factors"] == 4
    assert set(tree["models"]["ials"]["metrics"]["all"]["recall@1"]) == {"mean", "low", "high"}


EVERYTHING = [
    *("recall@3", "precision@3", "hr@3", "ndcg@3", "mrr@3", "map@3", "novelty@3", "popularity@3", "popularity-lift@3"),
    *("diversity@3", "genre-diversity@3", "calibration@3", "coverage@3", "gini@3"),
]


def test_every_metric_has_its_interval_and_its_paired_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = random_interactions(seed=1), random_interactions(seed=2)
    genres = {title: [f"genre {number % 4}"] for number, title in enumerate(train.title_ids)}

    def report() -> Report:
        models = {"few": IALS(IALSSettings(factors=2)), "more": IALS(IALSSettings(factors=8))}
        return evaluate_models(train, test, models, EVERYTHING, genres=genres, segments=["activity", "titles"], baseline="few")

    found = report()
    assert found.models["few"].lift["all"] == {}
    for label in ("popularity", "more"):
        result = found.models[label]
        assert list(result.metrics["all"]) == EVERYTHING
        for metric, over in result.lift["all"].items():
            level, base = result.metrics["all"][metric], found.models["few"].metrics["all"][metric]
            assert level.low <= level.mean <= level.high
            assert over.low <= over.mean <= over.high
            assert over.mean == pytest.approx(level.mean - base.mean, abs=1e-9)
    assert set(found.members) == {"all", "known", *found.segments["activity"], *found.segments.get("titles", [])}
    assert sum(found.members[group] for group in found.segments["activity"]) == found.members["all"]
    assert "by activity" in found.to_text()
    assert "by activity" not in found.to_text(segments=False)
    assert msgspec.json.decode(found.to_json(), type=Report) == found

    monkeypatch.setattr("offline.evaluation.protocol.BLOCK_CELLS", 10)
    for label, result in report().models.items():  # in blocks of three members
        for group, metrics in result.metrics.items():
            for metric, level in metrics.items():
                assert level.mean == pytest.approx(found.models[label].metrics[group][metric].mean), (label, group, metric)


def test_segments_of_titles_limit_what_counts_as_right() -> None:
    train = Interactions.from_columns(
        [f"m{member}" for member in range(12)] * 2 + ["m0"], ["old"] * 12 + [f"own{member}" for member in range(12)] + ["rare"]
    )
    test = Interactions.from_columns(["m1", "new", "new"], ["rare", "old", "rare"])
    report = evaluate_models(train, test, {}, ["recall@1"], segments=["titles"])
    found = report.models["popularity"].metrics
    assert report.segments["titles"] == ["titles: new titles", "titles: established titles"]
    assert report.members["titles: new titles"] == 2
    assert found["titles: established titles"]["recall@1"].mean == 1.0
    assert found["titles: new titles"]["recall@1"].mean == 0.0
    assert found["all"]["recall@1"].mean == 0.25


def test_a_context_brings_its_member_s_country() -> None:
    train = Interactions.from_columns([*"aabb"], [*"xyzw"], country=["US", "US", "DE", "DE"])
    context = Interactions.from_columns(["new"], ["z"], country=["DE"])
    task = prepare(train, Interactions.from_columns(["a", "new"], ["z", "w"]), context, keep_seen=False)
    assert task.histories.country is not None
    assert task.histories.country.tolist() == ["US", "DE"]


def test_what_cannot_be_told_is_refused_before_anything_is_fitted() -> None:
    train, test = even_and_odd(10)
    for asked, message in (
        ({"metrics": ["calibration@3"]}, "need a file of titles"),
        ({"segments": ["height"]}, "unknown segments 'height'"),
        ({"baseline": "ials"}, "no model 'ials' to compare with"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate_models(train, test, {"other": IALS()}, **asked)  # type: ignore[arg-type]


def test_memory_does_not_grow_with_members_times_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offline.evaluation.protocol.BLOCK_CELLS", 50_000)
    monkeypatch.setattr("offline.evaluation.bootstrap.CELLS", 50_000)

    def peak_bytes(members: int) -> int:
        random = np.random.default_rng(0)
        ids = np.arange(members).astype(str)
        train, test = (Interactions.from_columns(ids, random.integers(0, 600, members).astype(str)) for _ in range(2))
        tracemalloc.start()
        evaluate_models(train, test, {}, ["recall@500", "map@500", "novelty@500", "coverage@500"])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    few, many = 2_000, 6_000
    lists_bytes = (many - few) * 500 * 5  # a title of 4 bytes and a hit of 1
    assert peak_bytes(many) - peak_bytes(few) < lists_bytes / 2
