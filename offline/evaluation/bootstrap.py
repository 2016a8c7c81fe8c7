"""Intervals for means over members, by resampling members (Efron and Tibshirani 1993, percentile interval).

Differences between models come from the same resamples of the same members, so they are paired.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def resampled_means(values: FloatArray, resamples: int = 1000, seed: int = 0) -> FloatArray:
    """Return the column means of resampled rows.

    Parameters
    ----------
    values : `(members, columns)`.

    Returns
    -------
    `(resamples, columns)`; one resample is the same draw of members in every column.
    """
    members = len(values)
    random = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    for row in means:
        times = np.bincount(random.integers(members, size=members), minlength=members)  # (members,) how often drawn
        row[:] = times @ values / members
    return means


def estimate(values: FloatArray, means: FloatArray) -> Estimate:
    """The mean of one column of values, `(members,)`, with the interval from its resampled means, `(resamples,)`."""
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high))
