from pathlib import Path

import pytest

from offline.evaluation.figure import check_kind, draw
from offline.evaluation.report import evaluate_models
from offline.models import IALS, IALSSettings
from shared.errors import InputError
from tests.builders import random_interactions


@pytest.mark.parametrize(("kind", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_every_kind_is_drawn(kind: str, begins: bytes) -> None:
    models = {"ials": IALS(IALSSettings(factors=2, iterations=1))}
    train, test = random_interactions(seed=1), random_interactions(seed=2)
    report = evaluate_models(train, test, models, ["recall@3", "ndcg@3", "novelty@3", "gini@3"])
    assert draw(report, kind).startswith(begins)


def test_other_kinds_are_refused() -> None:
    check_kind(Path("a.PNG"))
    with pytest.raises(InputError, match=r"a\.jpeg: unknown kind of figure '.jpeg'; expected one of .png, .svg, .pdf"):
        check_kind(Path("a.jpeg"))
