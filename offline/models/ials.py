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
from offline.models.alternation import HalfStep, Solver
from offline.models.contract import Arrays, Checkpoint, Members, Model, Pass, Progress, Settings
from offline.models.factor_topk import FactorRanking
from offline.models.least_squares import NOT_FINITE, Penalty, SparseRows, device_of, solve, to_numpy
from offline.models.parallel import Workers
from offline.models.topk import Exclude, TopK
from shared.errors import InputError, ModelError
from shared.fold_in import Terms

FloatArray = npt.NDArray[np.float32]

STATE = ("member_factors", "title_factors")
"""Names of what a pass is kept as."""

NOTHING = "ials: no interaction has a weight above 0, so there is nothing to learn from"


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
    solver: Solver = "auto"  # exact, conjugate (few factors, CPU), blocks (many factors); see `offline.models.alternation`
    bfloat16: bool = True  # whether conjugate gradients read the other side's factors so, in all passes but the last
    relaxation: float = 1.4  # what a step of a pass is multiplied by, all but the first and last; below 2
    seed: int = 7
    device: str = "cpu"  # cpu, cuda, or auto

    def __post_init__(self) -> None:
        for name in ("factors", "iterations", "unobserved_pull", "regularisation", "initial_spread"):
            if not getattr(self, name) > 0:
                raise InputError(f"ials: {name} is {getattr(self, name)}; expected above 0")
        if not 0 < self.relaxation < 2:
            raise InputError(f"ials: relaxation is {self.relaxation}; expected between 0 and 2")

    def half_step(self, iteration: int) -> HalfStep:
        """How the pass of a number from 1 on steps. The first starts from nowhere, and the last is to end at the least."""
        last = iteration == self.iterations
        return HalfStep(self.solver, 1.0 if iteration == 1 or last else self.relaxation, self.bfloat16 and not last)

    @property
    def last_step(self) -> HalfStep:
        """How members are solved once the titles are as they stay."""
        return HalfStep(self.solver, to_the_end=True)


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

    _ranking: FactorRanking | None = None

    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Alternate between members and titles; see `Model.fit`.

        Memory beside the interactions: both sides of their matrix on the device, 8 bytes an entry each, and three times
        the factors; what a half-step adds is bounded, see `least_squares.solve`.

        Raises
        ------
        ModelError : no weight is above 0, or the factors overflow. InputError : a weight is not a number of 0 or more.
        """
        self._prepare(interactions)
        weights = self._weights(interactions.matrix)
        device, settings = device_of(self.settings.device), self.settings
        by_member, by_title = SparseRows(weights, device), SparseRows(weights.T.tocsr(), device)
        state = self._start() if checkpoint is None else checkpoint.latest() or self._start()
        done = state[0]
        members, titles = (torch.from_numpy(state[1][name]).to(device) for name in STATE)
        began = time.perf_counter()
        with Workers(device) as workers:
            for iteration in range(done + 1, settings.iterations + 1):
                step = settings.half_step(iteration)
                members = step(by_member, titles, members, self.penalty, workers)  # (members, factors)
                titles = step(by_title, members, titles, self.penalty, workers)  # (titles, factors)
                if checkpoint is not None:
                    checkpoint.keep(iteration, functools.partial(_state, members, titles))
                if progress is not None:
                    progress(Pass(iteration, settings.iterations, time.perf_counter() - began, iteration - done))
            # So that members of the fit and those folded in later have the same vectors for the same history.
            members = settings.last_step(by_member, titles, members, self.penalty, workers)
        return self.finish(to_numpy(members), to_numpy(titles))

    def _prepare(self, interactions: Interactions) -> None:
        """Take ids and scales from what is to be learnt from."""
        matrix = interactions.matrix
        wrong = ~(np.isfinite(matrix.data) & (matrix.data >= 0))
        if wrong.any():
            raise InputError(f"ials: a weight is {matrix.data[np.argmax(wrong)]}; expected a number of 0 or more")
        positive = matrix.data > 0
        entries = int(np.count_nonzero(positive))
        if not entries:
            raise ModelError(NOTHING)
        self.member_ids, self.title_ids = interactions.member_ids, interactions.title_ids
        scale = float(matrix.data.mean(dtype=np.float64) * len(matrix.data) / entries)
        popularity = np.bincount(matrix.indices, matrix.data, matrix.shape[1])
        members = int(np.count_nonzero(np.bincount(interactions.entry_members[positive])))
        self.scale_to(scale, popularity / scale, entries, members)

    def scale_to(self, weight_scale: float, popularity: npt.NDArray[np.float64], entries: int, members: int) -> None:
        """Set the scales of the objective.

        Parameters
        ----------
        weight_scale : mean of the weights above 0.
        popularity : `(titles,)` sums of scaled weights.
        entries, members : how many entries have a weight above 0, and how many members such an entry.
        """
        self.weight_scale = weight_scale
        self.popularity = popularity.astype(np.float32)
        self.unobserved_weight = self.settings.unobserved_pull * entries / (members * np.count_nonzero(self.popularity))

    def _start(self) -> tuple[int, Arrays]:
        return 0, dict(zip(STATE, first_factors(self.settings, len(self.member_ids), len(self.title_ids)), strict=True))

    def finish(self, members: FloatArray, titles: FloatArray) -> Self:
        """Take the factors of a fit; raises `ModelError` where they overflowed."""
        if not np.isfinite(members).all() or not np.isfinite(titles).all():
            raise ModelError(NOT_FINITE)
        self.member_factors, self.title_factors = members, titles
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
            return to_numpy(solve(SparseRows(self._weights(histories), device), titles, self.penalty, workers))

    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank by the product of vectors, by popularity for members without one; see `Model.recommend`."""
        index = self._checked_members(members)
        vectors = np.where((index >= 0)[:, None], self.member_factors[index], np.float32(0))
        return self._rank(vectors, k, exclude)

    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Fold histories in and rank; see `Model.recommend_from`."""
        return self._rank(self.fold_in(self._checked_histories(histories).matrix), k, exclude)

    def _rank(self, vectors: FloatArray, k: int, exclude: Exclude) -> TopK:
        ranking = self._ranking
        if ranking is None or ranking.titles is not self.title_factors:
            ranking = FactorRanking(self.title_factors, self.popularity, device_of(self.settings.device))
            self._ranking = ranking
        return ranking.top_k(vectors, k, exclude)

    @property
    def penalty(self) -> Penalty:
        """The terms of the objective beside the observed entries."""
        settings = self.settings
        return Penalty(self.unobserved_weight, settings.regularisation, settings.regularisation_exponent)

    @property
    def terms(self) -> Terms:
        """What folding in needs beside the title factors, for `shared.fold_in`, which does it without torch."""
        penalty = self.penalty
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


def first_factors(settings: IALSSettings, members: int, titles: int) -> tuple[FloatArray, FloatArray]:
    """Where a fit starts: members at nothing, titles at random."""
    random = np.random.default_rng(settings.seed).standard_normal((titles, settings.factors), np.float32)
    random *= np.float32(settings.initial_spread / settings.factors**0.5)
    return np.zeros((members, settings.factors), np.float32), random


def _state(members: torch.Tensor, titles: torch.Tensor) -> Arrays:
    """What a fit needs to go on."""
    return dict(zip(STATE, (to_numpy(members), to_numpy(titles)), strict=True))
