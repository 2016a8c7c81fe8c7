"""Intervals by resampling members (Efron and Tibshirani 1993, percentile interval).

Differences between models come from the same resamples of the same members, so they are paired.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

CELLS = 4_000_000  # of resamples x members at a time


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def resampled_means(values: FloatArray, resamples: int = 1000, seed: int = 0) -> FloatArray:
    """Return the column means of resampled rows.

    Parameters
    ----------
    values : `(members, columns)`; NaN where a member has no value, which is left out of that column's mean.

    Returns
    -------
    `(resamples, columns)`; one resample is the same draw of members in every column.
    """
    members = len(values)
    random = np.random.default_rng(seed)
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)
    complete = bool(defined.all())
    means = np.empty((resamples, values.shape[1]))
    step = max(1, CELLS // members)
    for start in range(0, resamples, step):
        block = means[start : start + step]
        times = np.empty((len(block), members))  # (block, members) how often each is drawn
        for row in times:
            row[:] = np.bincount(random.integers(members, size=members), minlength=members)
        with np.errstate(invalid="ignore"):
            block[:] = times @ filled / (members if complete else times @ defined)
    return means


def estimate(values: FloatArray, means: FloatArray) -> Estimate | None:
    """The mean of one column of values, `(members,)`, with the interval from its resampled means, `(resamples,)`.

    None where no member has a value.
    """
    if np.isnan(values).all():
        return None
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return Estimate(float(np.nanmean(values)), float(low), float(high))


def estimate_centred(value: float, resampled: FloatArray) -> Estimate:
    """A figure of the whole, with the spread of its resampled values, `(resamples,)`, laid about it.

    A resample has fewer distinct members than the whole, and so shows fewer distinct titles: resampled coverage lies below the
    figure that it is to bracket, and what says how sure that figure is, is its spread.
    """
    low, high = value + np.percentile(resampled - resampled.mean(), [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
