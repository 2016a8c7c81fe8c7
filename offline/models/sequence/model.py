"""The sequence transformer as a model: what a member plays next, from the plays before, in order."""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from offline.interactions import Interactions
from offline.models.contract import Checkpoint, Members, Model, Progress
from offline.models.factor_topk import FactorRanking
from offline.models.least_squares import device_of
from offline.models.sequence.batches import newest
from offline.models.sequence.encoding import encode
from offline.models.sequence.histories import Histories
from offline.models.sequence.holdout import hold_out
from offline.models.sequence.network import Encoder, Titles
from offline.models.sequence.objective import Objective
from offline.models.sequence.settings import SequenceSettings
from offline.models.sequence.training import Training
from offline.models.topk import Exclude, TopK
from shared.errors import ModelError

FloatArray = npt.NDArray[np.float32]

LOWEST = np.float32(-1e6)
"""Added to the score of a title about which nothing is known, neither a play nor a feature: below all others."""


class SequenceModel(Model[SequenceSettings]):
    """Self-attention over plays in order.

    Attributes
    ----------
    member_vectors : `(members, dim)` float32 of the whole history; all zero for a member without plays.
    title_vectors : `(titles, dim)` float32.
    popularity : `(titles,)` float32 weight of each title's plays; ranks for whoever has no history.
    known : `(titles,)` whether there is a play or a feature to score a title by.
    mean_weight : of a play.
    encoder : the trained network.
    """

    name: ClassVar[str] = "sequence"
    personal: ClassVar[bool] = True
    settings_type = SequenceSettings

    member_vectors: FloatArray
    title_vectors: FloatArray
    popularity: FloatArray
    known: npt.NDArray[np.bool_]
    mean_weight: float
    encoder: Encoder

    _ranking: FactorRanking | None = None

    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Train to predict each next play; see `Model.fit`.

        Without times no order is learnt: each epoch sees a member's plays in an order of its own; so it does those of one time.
        """
        matrix = interactions.matrix
        positive = matrix.data > 0
        if not positive.any():
            raise ModelError("sequence: no interaction has a weight above 0, so there is nothing to learn from")
        settings, device = self.settings, device_of(self.settings.device)
        if settings.use_gaps and interactions.at_ms is None:
            raise ModelError("sequence: use_gaps needs the times of the interactions (at_ms), which are not given")
        self.member_ids, self.title_ids = interactions.member_ids, interactions.title_ids
        self.mean_weight = float(matrix.data[positive].mean(dtype=np.float64))
        self.popularity = np.bincount(matrix.indices, matrix.data, matrix.shape[1]).astype(np.float32)
        features = interactions.title_features
        played = self.popularity > 0
        self.known = played if features is None else played | (np.diff(features.indptr) > 0)
        histories = Histories.of(interactions, self.mean_weight)
        random = np.random.default_rng(settings.seed)
        trained, holdout = hold_out(histories.shuffled(random), played, settings.held_out_members, random)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            titles = Titles(settings.dim, torch.from_numpy(played), features).to(device)
            self.encoder = Encoder(settings).to(device)
        objective = Objective(played, settings.whole_catalogue, product_type(settings.precision, device), device)
        best = Training(settings, self.encoder, titles, objective, trained, holdout).run(progress, checkpoint)
        self._figures = {"epochs": float(best.epoch)}
        if holdout is not None:
            self._figures["validation ndcg@10"] = best.metric
        self.title_vectors = titles().detach().cpu().numpy()
        self.member_vectors = self._encode(histories)
        self._ranking = None
        if not np.isfinite(self.title_vectors).all() or not np.isfinite(self.member_vectors).all():
            raise ModelError("sequence: the vectors are not finite; expected a smaller learning_rate")
        return self

    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank by what comes next after the whole history of the fit, by popularity without one; see `Model.recommend`."""
        index = self._checked_members(members)
        return self._rank(np.where((index >= 0)[:, None], self.member_vectors[index], np.float32(0)), k, exclude)

    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Encode histories and rank; see `Model.recommend_from`."""
        return self._rank(self._encode(Histories.of(self._checked_histories(histories), self.mean_weight)), k, exclude)

    def figures(self) -> dict[str, float]:
        """How long it was trained, and the metric on the plays held out; nothing where it was loaded."""
        return getattr(self, "_figures", {})

    def inference_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What `shared.sequence_inference` needs to encode histories without torch."""
        self._require_fitted()
        settings = self.settings
        weights = {name: weight.detach().cpu().numpy() for name, weight in self.encoder.named_parameters()}
        shape = np.array([settings.layers, settings.heads, settings.max_length - 1, self.mean_weight], np.float64)
        return {**weights, "title_vectors": self.title_vectors, "shape": shape}

    def _encode(self, histories: Histories) -> FloatArray:
        """Vectors of histories' newest plays, `(n, dim)`; all zero without plays."""
        vectors = torch.from_numpy(self.title_vectors).to(device_of(self.settings.device))
        # One place of `max_length` is that of the position a sequence begins with, as in training.
        return encode(self.encoder, vectors, histories, newest(histories, self.settings.max_length - 1))

    def _rank(self, vectors: FloatArray, k: int, exclude: Exclude) -> TopK:
        """Rank by products of vectors, by popularity where a vector is all zero."""
        shifted = not self.known.all()
        if self._ranking is None:
            last = np.where(self.known, np.float32(0), LOWEST)  # (titles,)
            titles = np.column_stack([self.title_vectors, last]) if shifted else self.title_vectors
            self._ranking = FactorRanking(titles, self.popularity, device_of(self.settings.device))
        return self._ranking.top_k(np.column_stack([vectors, vectors.any(axis=1)]) if shifted else vectors, k, exclude)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            **{f"encoder.{name}": weight.detach().cpu().numpy() for name, weight in self.encoder.named_parameters()},
            "member_vectors": self.member_vectors,
            "title_vectors": self.title_vectors,
            "popularity": self.popularity,
            "known": self.known,
            "mean_weight": np.array([self.mean_weight]),
        }

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.member_vectors, self.title_vectors = arrays["member_vectors"], arrays["title_vectors"]
        self.popularity, self.known = arrays["popularity"], arrays["known"]
        self.mean_weight = float(arrays["mean_weight"][0])
        self.encoder = Encoder(self.settings)
        with torch.no_grad():
            for name, weight in self.encoder.named_parameters():
                weight.copy_(torch.from_numpy(arrays[f"encoder.{name}"]))
        self.encoder.to(device_of(self.settings.device))


def product_type(precision: str, device: torch.device) -> torch.dtype:
    """The number type of the loss' matrix products; bfloat16 pays only where the processor multiplies in it."""
    if precision == "auto":
        able = torch.cpu.get_capabilities() if device.type == "cpu" else {"amx_bf16": torch.cuda.is_bf16_supported()}
        precision = "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"
    return torch.bfloat16 if precision == "bf16" else torch.float32
