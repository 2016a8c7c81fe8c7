"""The protocol on worlds small enough to reckon by hand, and the table and JSON that come out."""

import json

import msgspec
import numpy as np
import pytest

from offline.evaluation.protocol import prepare, rank
from offline.evaluation.report import Report, evaluate_models
from offline.interactions import Interactions
from offline.models import IALS, IALSSettings, Popularity
from shared.errors import InputError
from tests.builders import checkerboard, interactions_of


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
    assert "all test members: 10" in text
    assert "recall@1    popularity  0" in text
    assert "the strongest floor is 'popularity'" in text
    assert msgspec.json.decode(report.to_json(), type=Report) == report
    tree = json.loads(report.to_json())
    assert tree["models"]["ials"]["settings"]["factors"] == 4
    assert set(tree["models"]["ials"]["metrics"]["all"]["recall@1"]) == {"mean", "low", "high"}
