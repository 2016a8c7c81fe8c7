"""How well a fitted model finds interactions that were held out, for the record of its run."""

from collections.abc import Sequence
from typing import Any

from offline.evaluation.metrics import Metric
from offline.evaluation.protocol import prepare, rank
from offline.evaluation.ranking import MEMBER_METRICS
from offline.interactions import Interactions
from offline.models import Model


def metrics_on(model: Model[Any], train: Interactions, held_out: Interactions, names: Sequence[str]) -> dict[str, float]:
    """Mean over the members of `held_out` of metrics such as "recall@20", all titles ranked and those of `train` left out.

    Raises
    ------
    InputError : no member has a title there that is not in train.
    """
    task = prepare(train, held_out, None, keep_seen=False)
    asked = [Metric.parse(name) for name in names]
    ranking = rank(model, task, max(metric.k for metric in asked))
    return {str(metric): float(MEMBER_METRICS[metric.name](ranking.hits, task.relevant, metric.k).mean()) for metric in asked}
