"""The base of linear item models: a member's score of a title is the sum, over the titles of its history, of a weight between
the two. A member known only by its history is therefore no different from one of the fit.
"""

import time
from abc import abstractmethod
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from offline.interactions import Interactions
from offline.models.contract import Arrays, Checkpoint, Members, Model, Pass, Progress, Settings
from offline.models.storage import pack_rows, unpack_rows
from offline.models.topk import Exclude, Scorer, TopK, top_k
from shared.errors import InputError, ModelError

FloatArray = npt.NDArray[np.float32]
Histories = sparse.csr_array[np.float32]


class LinearSettings(Settings, frozen=True):
    """What linear item models have in common."""

    weight_exponent: float = 0.0  # of an interaction's weight over the mean one; 0: all interactions count alike


S = TypeVar("S", bound=LinearSettings)


class Linear(Model[S]):
    """Scores are histories times weights between titles; popularity ranks for whoever has no history.

    Attributes
    ----------
    histories : `(members, titles)` CSR of the fit, on the scale that the weights between titles were learned on.
    popularity : `(titles,)` float32, the column sums of `histories`.
    weight_scale : what an interaction's weight is divided by, before the exponent.
    """

    personal: ClassVar[bool] = True

    histories: Histories
    popularity: FloatArray
    weight_scale: float

    @abstractmethod
    def _learn(self, histories: Histories) -> None:
        """Find the weights between titles."""

    @abstractmethod
    def _scorer(self, histories: Histories) -> Scorer:
        """Scores of histories, `(n, titles)`, tile by tile."""

    @abstractmethod
    def weights_to(self, title: int, sources: npt.NDArray[np.integer[Any]]) -> FloatArray:
        """The weights from some titles, `(n,)` indices, to one title, `(n,)`."""

    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Learn the weights between titles in one pass; see `Model.fit`."""
        began = time.perf_counter()
        positive = interactions.matrix.data[interactions.matrix.data > 0]
        if not positive.size:
            raise ModelError(f"{self.name}: no interaction has a weight above 0, so there is nothing to learn from")
        self._check_size(interactions)
        self.member_ids, self.title_ids = interactions.member_ids, interactions.title_ids
        self.weight_scale = float(positive.mean(dtype=np.float64))
        self.histories = self._prepared(interactions.matrix)
        self.popularity = np.bincount(self.histories.indices, self.histories.data, len(self.title_ids)).astype(np.float32)
        self._learn(self.histories)
        if progress is not None:
            progress(Pass(1, 1, time.perf_counter() - began, 1))
        return self

    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank from the histories of the fit; see `Model.recommend`."""
        index = self._checked_members(members)
        nobody = sparse.csr_array((1, len(self.title_ids)), dtype=np.float32)
        known = sparse.vstack([self.histories, nobody], format="csr") if (index < 0).any() else self.histories
        return self._rank(known[index], k, exclude)

    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Rank from histories given now; see `Model.recommend_from`."""
        return self._rank(self._prepared(self._checked_histories(histories).matrix), k, exclude)

    def contributions(self, histories: Interactions, row: int, title: int) -> tuple[npt.NDArray[np.int32], FloatArray]:
        """Say why a title is recommended: what each title of a history adds to its score.

        Parameters
        ----------
        row : which of the histories.
        title : index of the recommended title.

        Returns
        -------
        `(n,)` indices of the history's titles, the greatest contribution first, and `(n,)` contributions; they add up to the
        score.

        Raises
        ------
        InputError : there is no such row or title.
        """
        prepared = self._prepared(self._checked_histories(histories).matrix)
        for name, index, count in (("row", row, prepared.shape[0]), ("title", title, prepared.shape[1])):
            if not 0 <= index < count:
                raise InputError(f"{name} is {index}; expected 0 or more and below {count}")
        entries = slice(prepared.indptr[row], prepared.indptr[row + 1])
        watched = prepared.indices[entries]  # (n,)
        added = prepared.data[entries] * self.weights_to(title, watched)  # (n,)
        order = np.argsort(-added, kind="stable")
        return watched[order].astype(np.int32), added[order].astype(np.float32)

    def _check_size(self, interactions: Interactions) -> None:
        """Refuse, before any work, data that this model cannot hold."""

    def _rank(self, histories: Histories, k: int, exclude: Exclude) -> TopK:
        score_known = self._scorer(histories)
        popularity = torch.from_numpy(self.popularity)  # (titles,)
        unknown = torch.from_numpy(np.diff(histories.indptr) == 0)  # (n,)

        def score(rows: slice, columns: slice) -> torch.Tensor:
            tile = score_known(rows, columns)  # (block, tile)
            tile[unknown[rows]] = popularity[columns]
            return tile

        return top_k(score, histories.shape[0], len(self.title_ids), k, exclude)

    def _prepared(self, matrix: Histories) -> Histories:
        """Weights on the fit's scale, without the stored zeros, which teach nothing."""
        weights = matrix.astype(np.float32, copy=True)
        weights.eliminate_zeros()
        weights.data = (weights.data / np.float32(self.weight_scale)) ** np.float32(self.settings.weight_exponent)
        return weights

    def _arrays(self) -> Arrays:
        return {
            **pack_rows("member_histories", self.histories),
            "popularity": self.popularity,
            "weight_scale": np.array([self.weight_scale]),
        }

    def _restore(self, arrays: Arrays) -> None:
        self.histories = unpack_rows("member_histories", arrays, len(self.title_ids))
        self.popularity = arrays["popularity"]
        (self.weight_scale,) = arrays["weight_scale"].tolist()
