"""The browse model fitted to logged pages: what was shown where, and where it was played from.

A title stands where it is worth standing, so plays by position tell of titles as much as of attention. What a title is to a
member is therefore conditioned out: only showings of the same title to the same member are compared. Where the chance of a play
is examined(position) * relevance(member, title) (the position-based model: Craswell et al., WSDM 2008) and plays are rare, the
plays of such a pair, given how many there were, fall on its showings in proportion to `examined` alone:

    log L = Σ_plays [ log examined(played) - log Σ_showings of the pair examined(shown) ]

This is the fixed-effects estimator of Hausman, Hall and Griliches (Econometrica 1984) on the pairs that Agarwal et al.,
"Estimating position bias without intrusive interventions" (WSDM 2019), harvest: those that stood at several positions. The
logarithm of `BrowseModel`'s `examined` is linear in its parameters, so there is one maximum. `first` cancels: clicks cannot tell
a page that is looked at half as often from titles that are half as good.

It holds as far as what a title is to a member doesn't change over the log, so give it pages of a few weeks. Pure.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import optimize

from shared.config import DeviceFormat
from shared.pages.attention import BrowseModel

LEAST_PLAYS = 200
"""Fewer plays that tell anything leave the default parameters as they are."""
PRIOR_PLAYS = 5.0
"""How firmly parameters stay near the defaults: beside this many plays' worth of doubt, a few hundred decide alone."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Showings:
    """Cells that were shown, each array (n,).

    Attributes
    ----------
    pairs : which title to which member: the same number for the same pair.
    rows, ranks : where it stood, from 0.
    visible_rows, visible_cells : of the first screen of the device that it was shown on.
    is_played : whether it was played from there.
    """

    pairs: IntArray
    rows: IntArray
    ranks: IntArray
    visible_rows: IntArray
    visible_cells: IntArray
    is_played: npt.NDArray[np.bool_]

    @classmethod
    def on(cls, device: DeviceFormat, pairs: IntArray, rows: IntArray, ranks: IntArray, is_played: npt.NDArray[np.bool_]) -> Self:
        """Cells that were all shown on one kind of device."""
        count = len(pairs)
        return cls(pairs, rows, ranks, np.full(count, device.visible_rows), np.full(count, device.visible_cells), is_played)


class BrowseFit(NamedTuple):
    """The model, and what it rests on.

    Attributes
    ----------
    plays : how many told anything: of titles that the member was shown at several positions.
    gain : by how much the fit explains a play better than the default parameters do, in nats.
    """

    model: BrowseModel
    plays: int
    gain: float


def fit(showings: Showings) -> BrowseFit:
    """Fit the parameters; the defaults where fewer than `LEAST_PLAYS` plays tell anything."""
    told = _Comparison(showings)
    default = BrowseModel()
    if told.plays < LEAST_PLAYS:
        return BrowseFit(default, told.plays, 0.0)
    start = _to_vector(default)  # (parameters,)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = told.log_likelihood(parameters)
        away = parameters - start
        return 0.5 * PRIOR_PLAYS * float(away @ away) - value, PRIOR_PLAYS * away - gradient

    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start))
    gain = told.log_likelihood(found.x)[0] - told.log_likelihood(start)[0]
    return BrowseFit(_to_model(found.x), told.plays, gain / told.plays)


class _Comparison:
    """The showings of the pairs that tell anything: played at least once, and shown at several positions."""

    def __init__(self, showings: Showings) -> None:
        _, pairs = np.unique(showings.pairs, return_inverse=True)  # (n,)
        x = _terms(showings)  # (n, parameters)
        order = np.argsort(pairs, kind="stable")
        first = np.flatnonzero(np.diff(pairs[order], prepend=-1))
        plays = np.bincount(pairs, showings.is_played)  # (pairs,)
        if len(first):
            spread = np.maximum.reduceat(x[order], first) - np.minimum.reduceat(x[order], first)  # (pairs, parameters)
            tells = (plays > 0) & (spread > 0).any(axis=1)  # (pairs,)
        else:
            tells = np.zeros(0, dtype=np.bool_)
        kept = order[tells[pairs[order]]]
        self._x = x[kept]  # (kept, parameters)
        self._is_played = showings.is_played[kept].astype(np.float64)
        self._first = np.flatnonzero(np.diff(pairs[kept], prepend=-1))
        self._of = np.cumsum(np.diff(pairs[kept], prepend=-1) != 0) - 1  # (kept,)
        self._plays = plays[tells]  # (kept pairs,)
        self.plays = int(self._plays.sum())

    def log_likelihood(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Its value and gradient."""
        utility = -(self._x @ parameters)  # (kept,) log examined
        weight = np.exp(utility)
        total = np.add.reduceat(weight, self._first)  # (kept pairs,)
        share = weight / total[self._of] * self._plays[self._of]  # (kept,) expected plays
        value = float(self._is_played @ utility - self._plays @ np.log(total))
        gradient: FloatArray = self._x.T @ (share - self._is_played)
        return value, gradient


def _terms(showings: Showings) -> FloatArray:
    """What the parameters of `_to_vector` multiply to give -log examined, (n, parameters)."""
    rows, ranks = showings.rows.astype(np.float64), showings.ranks.astype(np.float64)
    return np.stack(
        [
            rows,
            np.log1p(rows),
            ranks,
            np.log1p(ranks),
            showings.rows >= showings.visible_rows,
            showings.ranks >= showings.visible_cells,
        ],
        axis=1,
    ).astype(np.float64)


def _to_vector(model: BrowseModel) -> FloatArray:
    return np.array(
        [model.down_rate, model.down_power, model.right_rate, model.right_power, -np.log(model.scroll), -np.log(model.swipe)]
    )


def _to_model(parameters: FloatArray) -> BrowseModel:
    down_rate, down_power, right_rate, right_power, scroll, swipe = parameters.tolist()
    return BrowseModel(
        down_rate=down_rate,
        down_power=down_power,
        right_rate=right_rate,
        right_power=right_power,
        scroll=float(np.exp(-scroll)),
        swipe=float(np.exp(-swipe)),
    )
