"""What is believed of the rates of some arms, and how likely each arm's draw is the greatest: Thompson sampling's chances. Pure.

Thompson (1933) draws a rate for every arm from its posterior and takes the arm with the greatest. Arm i is taken with the chance

    P_i = ∫ Π_{j≠i} F_j(x) dF_i(x) = ∫ M(x) d log F_i(x)        M = Π_j F_j

The increments of M over the intervals of a grid add up to 1, and each is split among the arms in proportion to their increments
of log F over the interval, which is exact where the ratios of those do not change within it, and never gives an arm of a positive
density nothing. So with the increments of log F worked out once, on a grid that all arms share, a request's chances are one sum
over its arms, one product and a few vectors of the grid's length.
"""

from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt

from shared.errors import InputError
from shared.pages.serving import Indices

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

INTERVALS = 384
"""Of the grid that the arms share; enough for errors below 1e-4 among 50 arms of any widths (tests/shared/test_posteriors.py)."""
_LOCAL_POINTS = 513
_LEAST = 1e-300


class Posteriors:
    """The posteriors of arms. Read by many threads; never changed after it is built.

    The grid is finest where the greatest of many arms is likely to be; build it of those arms that are drawn from together.
    """

    def __init__(self, centres: Vector, widths: Vector, reach: float, log_density: Callable[[Matrix], Matrix]) -> None:
        """Put the arms on one grid.

        Parameters
        ----------
        centres, widths : (arms,), about where and how wide each arm's density is.
        reach : how many widths from its centre an arm may have any mass worth counting.
        log_density : of points (arms, points), up to a constant for each arm.
        """
        # sinh puts points close to each other near the centre, and far in the tails.
        t, spacing = np.linspace(-np.arcsinh(reach), np.arcsinh(reach), _LOCAL_POINTS, retstep=True)
        points = centres[:, None] + widths[:, None] * np.sinh(t)  # (arms, points)
        logs = log_density(points)
        densities = np.exp(logs - logs.max(axis=1, keepdims=True)) * np.cosh(t)  # (arms, points) in t, up to a constant
        cumulative, survival, densities = _integrals(densities, float(spacing))
        edges = _shared_grid(points, survival)  # (edges,)
        at = (np.arcsinh((edges - centres[:, None]) / widths[:, None]) - t[0]) / spacing  # (arms, edges) in steps of t
        found = _log_distribution(cumulative, survival, densities * spacing, at)
        below = np.full((len(centres), 1), np.log(_LEAST))
        above = np.zeros((len(centres), 1))
        steps = np.diff(np.concatenate([below, found, above], axis=1), axis=1)  # (arms, intervals)
        self._steps = np.maximum(steps, 0.0).astype(np.float32)

    @classmethod
    def beta(cls, takes: npt.ArrayLike, misses: npt.ArrayLike) -> Self:
        """Beta posteriors: of an arm that was taken `takes` and not taken `misses` times, each with the prior's share added.

        Parameters
        ----------
        takes, misses : (arms,), above 0.

        Raises
        ------
        InputError : one of them is not.
        """
        a, b = _checked("takes", takes), _checked("misses", misses)
        # In the logit y of the rate the density is bell-shaped for all a and b: e^{ay} / (1 + e^y)^{a+b}.

        def log_density(y: Matrix) -> Matrix:
            return a[:, None] * y - (a + b)[:, None] * np.logaddexp(0.0, y)

        return cls(np.log(a / b), np.sqrt(1 / a + 1 / b), 120.0, log_density)

    @classmethod
    def beta_of_rates(cls, rates: npt.ArrayLike, deviations: npt.ArrayLike) -> Self:
        """Beta posteriors of given means and standard deviations, as `shared.trending` publishes them.

        Raises
        ------
        InputError : a mean is not between 0 and 1, or no beta distribution is so wide.
        """
        mean, deviation = _checked("rates", rates), _checked("deviations", deviations)
        plays = mean * (1 - mean) / deviation**2 - 1  # (arms,) takes and misses together
        if (plays <= 0).any():
            raise InputError(
                f"no beta distribution has the mean {mean[plays <= 0][0]:g} and the deviation {deviation[plays <= 0][0]:g}"
            )
        return cls.beta(mean * plays, (1 - mean) * plays)

    @classmethod
    def normal(cls, means: npt.ArrayLike, deviations: npt.ArrayLike) -> Self:
        """Normal posteriors.

        Parameters
        ----------
        means, deviations : (arms,); deviations above 0.

        Raises
        ------
        InputError : a deviation is not above 0.
        """
        mean, deviation = np.atleast_1d(np.asarray(means, dtype=np.float64)), _checked("deviations", deviations)
        return cls(mean, deviation, 12.0, lambda x: -0.5 * ((x - mean[:, None]) / deviation[:, None]) ** 2)

    def __len__(self) -> int:
        return len(self._steps)

    def chances(self, arms: Indices) -> Vector:
        """How likely each of some arms has the greatest draw of them, (n,) float64 that add up to 1.

        Parameters
        ----------
        arms : (n,) each once.
        """
        if len(arms) < 2:
            return np.ones(len(arms))
        steps = self._steps[arms]  # (n, intervals)
        together = steps.sum(axis=0, dtype=np.float64)  # (intervals,) increments of log M
        after = np.cumsum(together[::-1])[::-1] - together  # (intervals,) minus log M at the upper edges
        increments = -np.exp(-after) * np.expm1(-together)  # (intervals,) of M
        found = steps @ (increments / np.maximum(together, _LEAST)).astype(np.float32)  # (n,)
        chances: Vector = found.astype(np.float64)
        chances /= chances.sum()
        return chances


def _checked(name: str, values: npt.ArrayLike) -> Vector:
    found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if not (np.isfinite(found) & (found > 0)).all():
        raise InputError(f"{name} of arms: {found[~(np.isfinite(found) & (found > 0))][0]} is no number above 0")
    return found


def _integrals(densities: Matrix, spacing: float) -> tuple[Matrix, Matrix, Matrix]:
    """The distribution function and 1 minus it at the points, by the trapezoid rule, and the density to match: (arms, points)."""
    parts = 0.5 * spacing * (densities[:, 1:] + densities[:, :-1])  # (arms, points - 1)
    # Where the ends' neighbours are there, the cubic through all four takes the trapezoid's greatest error away.
    bend = (densities[:, 1:-2] + densities[:, 2:-1] - densities[:, :-3] - densities[:, 3:]) * (spacing / 24.0)
    parts[:, 1:-1] += np.maximum(bend, -0.5 * parts[:, 1:-1])
    nothing = np.zeros((len(densities), 1))
    cumulative = np.concatenate([nothing, np.cumsum(parts, axis=1)], axis=1)  # (arms, points)
    survival = np.concatenate([np.cumsum(parts[:, ::-1], axis=1)[:, ::-1], nothing], axis=1)  # (arms, points)
    total = cumulative[:, -1:]
    return cumulative / total, survival / total, densities / total


def _log_distribution(cumulative: Matrix, survival: Matrix, slopes: Matrix, at: Matrix) -> Matrix:
    """The logarithm of the distribution function between the points, by cubic Hermite interpolation.

    Parameters
    ----------
    slopes : (arms, points) density a step from point to point.
    at : (arms, edges) counted in points; those beyond the ends are taken at them.
    """
    # Each tail's logarithm is taken where the tail has its digits.
    logs = np.where(cumulative < 0.5, np.log(np.maximum(cumulative, _LEAST)), np.log1p(-np.minimum(survival, 0.5)))
    slopes = slopes / np.maximum(cumulative, _LEAST)
    place = np.clip(at.astype(np.int64), 0, cumulative.shape[1] - 2)  # (arms, edges)
    u = np.clip(at - place, 0.0, 1.0)
    low, high = np.take_along_axis(logs, place, axis=1), np.take_along_axis(logs, place + 1, axis=1)
    rise, next_rise = np.take_along_axis(slopes, place, axis=1), np.take_along_axis(slopes, place + 1, axis=1)
    # Where the distribution function is next to nothing, the slopes of its logarithm have no digits left.
    rise, next_rise = (np.minimum(of, 3.0 * (high - low)) for of in (rise, next_rise))
    of_ends = (1 + 2 * u) * (1 - u) ** 2 * low + u**2 * (3 - 2 * u) * high  # (arms, edges)
    found: Matrix = of_ends + u * (1 - u) ** 2 * rise - u**2 * (1 - u) * next_rise  # (arms, edges)
    return found


def _shared_grid(points: Matrix, survival: Matrix) -> Vector:
    """Edges that divide the mixture of all arms evenly by the fourth root of its survival function: (edges,).

    The greatest of n draws has the mixture's survival near 1 / n, for any n up to the number of arms; by the root, each such n
    has a good part of the edges.
    """
    if not points.size:
        return np.zeros(INTERVALS - 1)
    every = 4  # of the local points: the mixture need not be known better
    places = points[:, ::every]
    masses = -np.diff(survival[:, ::every], axis=1, append=0.0)  # (arms, some points)
    order = np.argsort(places, axis=None)
    above = np.cumsum(masses.ravel()[order][::-1])[::-1] / len(points)  # survival of the mixture
    root = 1.0 - above**0.25
    edges: Vector = np.interp(np.linspace(0.0, 1.0, INTERVALS + 1)[1:-1], root, places.ravel()[order])
    return edges
