"""A graph filter: titles are joined by the members who watched them, and a history is smoothed over that graph, in closed form.

Two filters are added. The first goes one step along the graph, to titles that share members with the history's (the linear
filter of Shen et al. 2021, "How powerful is graph convolution for recommendation?", GF-CF). The second keeps the smoothest
signals of the graph alone, its ideal low-pass filter. Degrees are normalised by exponents of their own in each, and the joint
counts are raised to a power, as in Park et al. (2024), "Turbo-CF", and Peng et al. (2024), "How powerful is graph filtering for
recommendation?" (SGFCF). The weights between titles are sparse; nothing titles x titles is ever dense.
"""

from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from offline.models.contract import Arrays
from offline.models.item_scores import add_sparse
from offline.models.linear import FloatArray, Histories, Linear, LinearSettings
from offline.models.links import Links, find_links, scaled
from offline.models.spectrum import leading
from offline.models.storage import pack_rows, unpack_rows
from offline.models.topk import Scorer

_SAMPLE = 512
_SAMPLE_AT_ONCE = 64  # all titles are scored for them

Count = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class GraphSettings(LinearSettings, frozen=True):
    """The two filters. An exponent e divides by degree^e, the degree being a member's number of titles or a title's of members.

    `links` bounds memory: 8 bytes for each kept link of each title. The low-pass filter takes 4 x titles x rank, and four times
    that while it is fitted.
    """

    member_exponent: float = 0.5  # in what two titles have in common: 1 / degree^(2 x this) for each member of both
    link_power: float = 0.75  # of what they have in common
    from_exponent: float = 0.4  # of the history's title
    to_exponent: float = 0.3  # of the title that is scored
    links: Count = 2000  # kept of each title, the strongest
    low_pass: NotNegative = 0.4  # share of the low-pass filter, in standard deviations of the linear one's scores; 0: none
    rank: Count = 512  # smoothest signals kept, at the most
    low_pass_cut: NotNegative = 0.05  # of the greatest eigenvalue: a signal with less is noise and is not kept
    low_pass_power: float = -0.8  # of the kept signals' eigenvalues: 0 keeps them as they are, below 0 lifts the rougher ones
    low_pass_member_exponent: float = 0.25
    low_pass_title_exponent: float = 0.4
    low_pass_from_exponent: float = 0.4
    low_pass_to_exponent: float = 0.4
    seed: int = 7


class Graph(Linear[GraphSettings]):
    """The sum of a linear and an ideal low-pass filter on the graph of titles.

    Attributes
    ----------
    links : `(titles, titles)` CSR, what a title of a history adds to the score of each title that shares members with it.
    source_signals, target_signals : `(titles, rank)` float32; the low-pass filter is the first times the second transposed.
    """

    name: ClassVar[str] = "graph"
    settings_type = GraphSettings

    links: Links
    source_signals: FloatArray
    target_signals: FloatArray

    def _learn(self, histories: Histories) -> None:
        settings = self.settings
        degree = np.maximum(np.bincount(histories.indices, minlength=histories.shape[1]), 1).astype(np.float32)  # (titles,)
        common = scaled(histories, settings.member_exponent)
        into = degree**-settings.to_exponent
        self.links = find_links(common, settings.link_power, degree**-settings.from_exponent, into, settings.links)
        self.source_signals = self.target_signals = np.zeros((len(degree), 0), np.float32)
        if settings.low_pass > 0:
            smooth = scaled(histories, settings.low_pass_member_exponent, degree**-settings.low_pass_title_exponent)
            values, signals = leading(smooth, settings.rank, settings.seed)  # (rank,), (titles, rank)
            kept = values >= settings.low_pass_cut * values[0]
            signals = signals[:, kept] * (values[kept] / values[0]) ** np.float32(settings.low_pass_power / 2)
            self.source_signals = signals * degree[:, None] ** -settings.low_pass_from_exponent
            self.target_signals = signals * degree[:, None] ** settings.low_pass_to_exponent
            self.target_signals *= np.float32(settings.low_pass * self._ratio(histories))

    def _ratio(self, histories: Histories) -> float:
        """Standard deviation of the linear filter's scores over that of the low-pass filter's, for some of the members."""
        some = np.flatnonzero(np.diff(histories.indptr))
        some = np.random.default_rng(self.settings.seed).permutation(some)[:_SAMPLE]
        sums = np.zeros((2, 2))  # of the linear and of the low-pass scores: the sum, and that of the squares
        for start in range(0, len(some), _SAMPLE_AT_ONCE):
            block = histories[some[start : start + _SAMPLE_AT_ONCE]]
            linear = (block @ self.links).data.astype(np.float64)
            low = ((block @ self.source_signals) @ self.target_signals.T).astype(np.float64)  # (block, titles)
            sums += [[linear.sum(), (linear**2).sum()], [low.sum(), (low**2).sum()]]
        mean, square = sums.T / (len(some) * len(self.title_ids))
        linear_spread, low_spread = np.sqrt(np.maximum(square - mean**2, 0.0)).tolist()
        return linear_spread / low_spread if low_spread > 0 else 0.0

    def _scorer(self, histories: Histories) -> Scorer:
        links = self.links
        targets = torch.from_numpy(self.target_signals)  # (titles, rank)

        def score(rows: slice, columns: slice) -> torch.Tensor:
            some = histories[rows]
            signal = torch.from_numpy(some @ self.source_signals)  # (block, rank)
            tile = signal @ targets[columns].T  # (block, tile)
            add_sparse(some.indptr, some.indices, some.data, links.indptr, links.indices, links.data, columns.start, tile.numpy())
            return tile

        return score

    def weights_to(self, title: int, sources: npt.NDArray[np.integer[Any]]) -> FloatArray:
        """See `Linear.weights_to`."""
        linear = self.links[sources][:, [title]].toarray()[:, 0]  # (n,)
        low = self.source_signals[sources] @ self.target_signals[title]  # (n,)
        weights: FloatArray = (linear + low).astype(np.float32)
        return weights

    def _arrays(self) -> Arrays:
        signals = {"source_signals": self.source_signals, "target_signals": self.target_signals}
        return {**super()._arrays(), **pack_rows("links", self.links), **signals}

    def _restore(self, arrays: Arrays) -> None:
        super()._restore(arrays)
        self.links = unpack_rows("links", arrays, len(self.title_ids))
        self.source_signals, self.target_signals = arrays["source_signals"], arrays["target_signals"]
