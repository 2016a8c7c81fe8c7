"""How well a fitted model finds interactions that were held out, for the record of its run."""

from collections.abc import Sequence
from typing import Any

from offline.evaluation.metrics import Metric
from offline.evaluation.protocol import Task, rank
from offline.evaluation.ranking import MEMBER_METRICS
from offline.models import Model


def metrics_on(model: Model[Any], task: Task, names: Sequence[str]) -> dict[str, float]:
    """Mean over the members of a task of metrics such as "recall@20"."""
    asked = [Metric.parse(name) for name in names]
    ranking = rank(model, task, max(metric.k for metric in asked))
    return {str(metric): float(MEMBER_METRICS[metric.name](ranking.hits, task.relevant, metric.k).mean()) for metric in asked}
