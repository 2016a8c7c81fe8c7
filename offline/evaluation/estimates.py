"""Figures with their intervals, and paired differences from a baseline, from the values of members."""

from collections.abc import Mapping, Sequence

import numpy as np

from offline.evaluation.bootstrap import Estimate, FloatArray, estimate, estimate_centred, resampled_means

Estimates = dict[str, Estimate]
"""By metric."""


def of_members(
    values: Mapping[str, FloatArray], names: Sequence[str], baseline: str, seed: int
) -> tuple[dict[str, Estimates], dict[str, Estimates]]:
    """Means over members and their paired differences from the baseline, by model.

    Parameters
    ----------
    values : by model, `(members, metrics)`; NaN where a metric has no meaning for a member. A difference is taken over the
        members for whom it has one in both models.
    names : of the metrics.

    Returns
    -------
    means, lifts : a metric that has no meaning for any member is left out, and so is the baseline's difference from itself.
    """
    columns = np.concatenate([*values.values(), *(each - values[baseline] for each in values.values())], axis=1)
    means = resampled_means(columns, seed=seed)  # (resamples, 2 x models x metrics)
    found = [estimate(columns[:, place], means[:, place]) for place in range(columns.shape[1])]
    named = [
        {name: one for name, one in zip(names, found[part * len(names) :], strict=False) if one is not None}
        for part in range(2 * len(values))
    ]
    levels = dict(zip(values, named[: len(values)], strict=True))
    lifts = dict(zip(values, named[len(values) :], strict=True))
    return levels, {**lifts, baseline: {}}


def of_catalogue(
    resampled: Mapping[str, Mapping[str, FloatArray]], baseline: str
) -> tuple[dict[str, Estimates], dict[str, Estimates]]:
    """Figures of all lists together and their paired differences from the baseline, by model.

    Parameters
    ----------
    resampled : by model and metric, `(1 + resamples,)`: the figure, then that of each resample of the members, which are the
        same for all models.
    """
    base = resampled[baseline]
    levels = {
        label: {name: _within_shares(estimate_centred(each[0], each[1:])) for name, each in metrics.items()}
        for label, metrics in resampled.items()
    }
    lifts = {
        label: {name: estimate_centred(each[0] - base[name][0], each[1:] - base[name][1:]) for name, each in metrics.items()}
        for label, metrics in resampled.items()
    }
    return levels, {**lifts, baseline: {}}


def _within_shares(found: Estimate) -> Estimate:
    return Estimate(found.mean, max(0.0, found.low), min(1.0, found.high))
