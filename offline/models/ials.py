"""Implicit alternating least squares: members and titles as vectors whose product says how likely a play is.

Rendle, Krichene, Zhang, Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks": observed
entries pull the product to 1, all entries pull it to 0 with a small weight, and a vector is regularised by how often its
member or title occurs.
"""

import functools
import time
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.interactions import Interactions
from offline.models.contract import Arrays, Checkpoint, Members, Model, Pass, Progress, Settings
from offline.models.least_squares import Penalty, SparseRows, device_of, solve, to_numpy
from offline.models.parallel import Workers
from offline.models.topk import Exclude, TopK, top_k
from shared.errors import InputError, ModelError
from shared.fold_in import Terms

FloatArray = npt.NDArray[np.float32]


class IALSSettings(Settings, frozen=True):
    """What to fit.

    The paper's α suits one data set only: it has to fall with the density of the data. Here it is given in sum, over
    all entries, and weights are divided by their mean; so these mean the same whatever the density and the scale.
    """

    factors: int = 64
    iterations: int = 10
    unobserved_pull: float = 20.0  # of all entries together to 0, beside 1 of the observed ones together to 1
    regularisation: float = 0.005  # λ
    regularisation_exponent: float = 1.0  # ν: 0 regularises all vectors alike, 1 by how often each occurs
    initial_spread: float = 0.1  # standard deviation of the first vectors' length
    seed: int = 7
    device: str = "cpu"  # cpu, cuda, or auto

    def __post_init__(self) -> None:
        for name in ("factors", "iterations", "unobserved_pull", "regularisation", "initial_spread"):
            if not getattr(self, name) > 0:
                raise InputError(f"ials: {name} is {getattr(self, name)}; expected above 0")


class IALS(Model[IALSSettings]):
    """Matrix factorisation of implicit feedback.

    Attributes
    ----------
    member_factors : `(members, factors)` float32; all zero for a member without entries of weight.
    title_factors : `(titles, factors)` float32.
    popularity : `(titles,)` float32, each title's weight in plays of average weight; ranks for whoever has no vector.
    weight_scale : what weights are divided by.
    unobserved_weight : α, the pull of one entry to 0 beside 1 of an average observed one to 1.
    """

    name: ClassVar[str] = "ials"
    personal: ClassVar[bool] = True
    settings_type = IALSSettings

    member_factors: FloatArray
    title_factors: FloatArray
    popularity: FloatArray
    weight_scale: float
    unobserved_weight: float

    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Alternate exact solutions of members and titles; see `Model.fit`."""
        positive = interactions.matrix.data[interactions.matrix.data > 0]
        if not positive.size:
            raise ModelError("ials: no interaction has a weight above 0, so there is nothing to learn from")
        self.member_ids, self.title_ids = interactions.member_ids, interactions.title_ids
        self.weight_scale = float(positive.mean(dtype=np.float64))
        weights = self._weights(interactions.matrix)
        self.popularity = np.bincount(weights.indices, weights.data, len(self.title_ids)).astype(np.float32)
        device, settings = device_of(self.settings.device), self.settings
        cells = np.count_nonzero(np.diff(weights.indptr)) * np.count_nonzero(self.popularity)
        self.unobserved_weight = settings.unobserved_pull * weights.nnz / cells
        by_member, by_title = SparseRows(weights, device), SparseRows(weights.T.tocsr(), device)
        random = np.random.default_rng(settings.seed).standard_normal((len(self.title_ids), settings.factors), np.float32)
        titles = torch.from_numpy(random).to(device) * (settings.initial_spread / settings.factors**0.5)
        kept = None if checkpoint is None else checkpoint.latest()
        done = 0
        if kept is not None:
            done, titles = kept[0], torch.from_numpy(kept[1]["title_factors"]).to(device)
        began = time.perf_counter()
        with Workers(device) as workers:
            for iteration in range(done + 1, settings.iterations + 1):
                members = solve(by_member, titles, self._penalty, workers)  # (members, factors)
                titles = solve(by_title, members, self._penalty, workers)  # (titles, factors)
                if checkpoint is not None:
                    checkpoint.keep(iteration, functools.partial(_state, titles))
                if progress is not None:
                    progress(Pass(iteration, settings.iterations, time.perf_counter() - began, iteration - done))
            # Once more for the members, so that those of the fit and those folded in later are solved against one thing.
            self.member_factors = to_numpy(solve(by_member, titles, self._penalty, workers))
        self.title_factors = to_numpy(titles)
        if not np.isfinite(self.member_factors).all() or not np.isfinite(self.title_factors).all():
            raise ModelError("ials: the factors are not finite; expected weights of a sane range and a greater regularisation")
        return self

    def fold_in(self, histories: sparse.csr_array[np.float32]) -> FloatArray:
        """Return the vectors of members known only by their history, by the same solution as in `fit`.

        Parameters
        ----------
        histories : `(n, titles)` CSR weights, on the scale of the fit's.

        Returns
        -------
        `(n, factors)` float32; all zero where a history is empty.
        """
        self._require_fitted()
        device = device_of(self.settings.device)
        titles = torch.from_numpy(self.title_factors).to(device)
        with Workers(device) as workers:
            return to_numpy(solve(SparseRows(self._weights(histories), device), titles, self._penalty, workers))

    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank by the product of vectors, by popularity for members without one; see `Model.recommend`."""
        index = self._checked_members(members)
        vectors = np.where((index >= 0)[:, None], self.member_factors[index], np.float32(0))
        return self._rank(vectors, k, exclude)

    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Fold histories in and rank; see `Model.recommend_from`."""
        return self._rank(self.fold_in(self._checked_histories(histories).matrix), k, exclude)

    def _rank(self, vectors: FloatArray, k: int, exclude: Exclude) -> TopK:
        device = device_of(self.settings.device)
        members = torch.from_numpy(vectors).to(device)  # (n, factors)
        titles = torch.from_numpy(self.title_factors).to(device)  # (titles, factors)
        popularity = torch.from_numpy(self.popularity).to(device)  # (titles,)
        unknown = ~members.any(dim=1)  # (n,)

        def score(rows: slice, columns: slice) -> torch.Tensor:
            tile = members[rows] @ titles[columns].T  # (block, tile)
            tile[unknown[rows]] = popularity[columns]
            return tile

        return top_k(score, len(vectors), len(self.title_ids), k, exclude, device)

    @property
    def _penalty(self) -> Penalty:
        settings = self.settings
        return Penalty(self.unobserved_weight, settings.regularisation, settings.regularisation_exponent)

    @property
    def terms(self) -> Terms:
        """What folding in needs beside the title factors, for `shared.fold_in`, which does it without torch."""
        penalty = self._penalty
        return Terms(penalty.unobserved, penalty.scale, penalty.exponent, self.weight_scale, len(self.title_ids))

    def _weights(self, matrix: sparse.csr_array[np.float32]) -> sparse.csr_array[np.float32]:
        """Scaled weights without the stored zeros, which teach nothing."""
        weights = matrix.astype(np.float32, copy=True)
        weights.data /= np.float32(self.weight_scale)
        weights.eliminate_zeros()
        return weights

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "member_factors": self.member_factors,
            "title_factors": self.title_factors,
            "popularity": self.popularity,
            "scales": np.array([self.weight_scale, self.unobserved_weight]),
        }

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.member_factors, self.title_factors = arrays["member_factors"], arrays["title_factors"]
        self.popularity = arrays["popularity"]
        self.weight_scale, self.unobserved_weight = arrays["scales"].tolist()


def _state(titles: torch.Tensor) -> Arrays:
    """What a fit needs to go on: each pass starts from the titles alone."""
    return {"title_factors": to_numpy(titles)}
