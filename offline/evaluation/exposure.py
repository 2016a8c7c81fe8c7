"""How a model spreads over the catalogue what it shows: coverage and inequality, with intervals by resampled members.

Block after block of lists comes in. In each resample a member counts as often as a Poisson draw of mean 1 says, the limit of
drawing members with replacement (Chamandy et al. 2012, "Estimating uncertainty for massive data streams"); so the lists need
not be kept, and memory is that of titles x resamples, whatever the number of members.
"""

import numpy as np
import numpy.typing as npt

from offline.evaluation.bootstrap import FloatArray
from offline.evaluation.shown import Shown, indicator

RESAMPLES = 200
CELLS = 32_000_000  # of titles x resamples; a larger catalogue has fewer resamples, 50 at least


class Exposure:
    """Counts of how often each title is shown within k.

    Parameters
    ----------
    titles : in the catalogue.
    seed : of the resamples. Models that are asked for the same members in the same blocks have the same draws.
    """

    def __init__(self, titles: int, k: int, seed: int = 0) -> None:
        self._k, self._seed, self._members = k, seed, 0
        resamples = min(RESAMPLES, max(50, CELLS // titles))
        self._counts = np.zeros((titles, 1 + resamples), np.float32)  # the first column counts every member once

    def add(self, shown: Shown) -> None:
        """Count one block of lists, `(members, depth)`."""
        titles, columns = self._counts.shape
        top = shown[:, : self._k]
        random = np.random.default_rng([self._seed, self._members])
        times = np.ones((len(top), columns), np.float32)  # (block, 1 + resamples) how often each member counts
        times[:, 1:] = random.poisson(1.0, (len(top), columns - 1))
        self._counts += indicator(top, titles).T.tocsr() @ times
        self._members += len(top)

    def coverage(self) -> FloatArray:
        """`(1 + resamples,)` share of the catalogue that somebody is shown."""
        share: FloatArray = np.count_nonzero(self._counts, axis=0) / len(self._counts)
        return share

    def gini(self) -> FloatArray:
        """`(1 + resamples,)` Gini coefficient of the titles' exposure: 0 all shown alike, near 1 all but a few never shown.

        Σ (2i - n - 1) x_i / (n Σ x) over the n titles in ascending order of exposure x.
        """
        return np.array([_gini(column) for column in self._counts.T])


def _gini(exposure: npt.NDArray[np.float32]) -> float:
    ascending = np.sort(exposure[exposure > 0]).astype(np.float64)  # those never shown add nothing to the sums
    titles, shown = len(exposure), len(ascending)
    if not shown:
        return 0.0
    place = np.arange(titles - shown + 1, titles + 1)
    return float(((2 * place - titles - 1) @ ascending) / (titles * ascending.sum()))
