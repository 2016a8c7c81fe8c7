"""Titles by how much they are watched: overall, by country, with older plays counting less. The floor for every model."""

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from offline.interactions import Ids, Int64Array, Interactions, id_array, index_of
from offline.models.contract import Checkpoint, Members, Model, Pass, Progress, Settings
from offline.models.storage import pack_ids, unpack_ids
from offline.models.topk import Exclude, TopK, top_k
from shared.errors import ModelError

HOUR_MS = 3_600_000.0


class PopularitySettings(Settings, frozen=True):
    """How plays are counted."""

    half_life_h: float = 0.0  # a play this much older than the newest one counts half; 0: all count alike
    by_country: bool = True  # rank by the member's country where the interactions name it
    country_prior: float = 200.0  # so many plays of the whole world are added to each country's own


class Popularity(Model[PopularitySettings]):
    """Each title's share of all weight, worldwide and in each country.

    Attributes
    ----------
    countries : `(countries,)` codes.
    shares : `(1 + countries, titles)` float32; the first row is the world, the others are in order of `countries`.
    """

    name: ClassVar[str] = "popularity"
    personal: ClassVar[bool] = False
    settings_type = PopularitySettings

    countries: Ids
    shares: npt.NDArray[np.float32]
    member_region: Int64Array  # (members,) row of `shares`

    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Count; see `Model.fit`."""
        weight = self._decayed(interactions)  # (entries,)
        titles = interactions.matrix.indices
        total = np.bincount(titles, weight, minlength=len(interactions.title_ids))
        if not total.sum() > 0:
            raise ModelError("popularity: no interaction has a weight above 0, so there is nothing to count")
        self.member_ids, self.title_ids = interactions.member_ids, interactions.title_ids
        codes = set() if interactions.country is None else {code for code in interactions.country if code is not None}
        self.countries = id_array(sorted(codes) if self.settings.by_country else [])
        self.member_region = self._region(interactions)
        world = total / total.sum()  # (titles,)
        counts = np.zeros((1 + len(self.countries), len(world)))
        np.add.at(counts, (self.member_region[interactions.entry_members], titles), weight)
        counts[0] = total
        # Dirichlet smoothing: a country with few plays leans on the world's shares.
        counts += self.settings.country_prior * world
        self.shares = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
        if progress is not None:
            progress(Pass(1, 1, 0.0, 1))
        return self

    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank by the member's country; see `Model.recommend`."""
        index = self._checked_members(members)
        return self._rank(np.where(index < 0, 0, self.member_region[index]), k, exclude)

    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Rank by each history's country; see `Model.recommend_from`."""
        return self._rank(self._region(self._checked_histories(histories)), k, exclude)

    def recommend_in(self, countries: Ids, k: int) -> TopK:
        """Rank for countries, one row each; None or a country without plays stands for the world."""
        self._require_fitted()
        return self._rank(index_of(countries, self.countries) + 1, k, None)

    def _rank(self, region: Int64Array, k: int, exclude: Exclude) -> TopK:
        shares, rows = torch.from_numpy(self.shares), torch.from_numpy(region)
        # Indexing by a list of rows copies, so that each tile is free to be written to.
        return top_k(lambda r, c: shares[:, c][rows[r]], len(region), len(self.title_ids), k, exclude)

    def _region(self, interactions: Interactions) -> Int64Array:
        if interactions.country is None:
            return np.zeros(len(interactions.member_ids), np.int64)
        return index_of(interactions.country, self.countries) + 1

    def _decayed(self, interactions: Interactions) -> npt.NDArray[np.float64]:
        weight = interactions.matrix.data.astype(np.float64)
        if self.settings.half_life_h <= 0 or not weight.size:
            return weight
        if interactions.at_ms is None:
            raise ModelError("popularity: half_life_h needs the times of the interactions (at_ms), which are not given")
        age_h = (interactions.at_ms.max() - interactions.at_ms) / HOUR_MS
        decayed: npt.NDArray[np.float64] = weight * np.exp2(-age_h / self.settings.half_life_h)
        return decayed

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"shares": self.shares, "member_region": self.member_region, **pack_ids("countries", self.countries)}

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.shares, self.member_region = arrays["shares"], arrays["member_region"]
        self.countries = unpack_ids("countries", arrays)
