"""A block of members' candidates from a fitted model: its best titles, what each source said of them, and a few new titles.

Scores are on the scale of iALS where it is the model or a source of it: the stream workers retrieve with its factors, and pages
mix what they find with these candidates as they are. A blend's own scores have another scale, so the i-th title of a member's
list gets the i-th best score that iALS has for the member: the order is the blend's, the spread that of iALS. Pure; called by
the job.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from offline.interactions import Ids, id_array, index_of
from offline.models import IALS, Blend, Model
from offline.models.blend import part_of
from offline.models.content import ContentPrior, one_hot
from offline.models.contract import Members
from offline.models.topk import Exclude, TopK

FloatArray = npt.NDArray[np.float32]

CONTENT = "content"
"""Name of the source of new titles."""


class Candidates(NamedTuple):
    """One block of lists; titles are indices into the model's, then the new ones; `scores` by source, NaN where it has none."""

    top: TopK
    scores: dict[str, FloatArray]


class NewTitles:
    """Titles of the catalogue that the model has not seen played, with vectors by their features.

    Parameters
    ----------
    catalogue : every title's features, such as genres.

    Attributes
    ----------
    title_ids : `(new,)`.
    """

    def __init__(self, ials: IALS, catalogue: Mapping[str, Sequence[str]]) -> None:
        ids = id_array(sorted(catalogue))
        known = index_of(ids, ials.title_ids)
        features = one_hot([catalogue[str(one)] for one in ids])
        described = np.flatnonzero((known < 0) & (np.diff(features.indptr) > 0))  # of the others nothing can be said
        self.title_ids: Ids = ids[described]
        self._ials = ials
        played = np.flatnonzero(known >= 0)
        self._prior = ContentPrior(ials.title_factors[known[played]], ials.popularity[known[played]], features[played])
        self._vectors = self._prior.vectors(features[described])  # (new, factors)

    def best(self, members: Members, k: int) -> TopK:
        """The best k new titles of each member that are more to their taste than the mean title; -1 where there are fewer."""
        index = np.asarray(members)
        vectors = np.where((index >= 0)[:, None], self._ials.member_factors[index], np.float32(0))  # (n, factors)
        scores = vectors @ self._vectors.T  # (n, new)
        scores[scores <= (vectors @ self._prior.mean)[:, None]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)
        best = np.take_along_axis(scores, order, axis=1)
        return TopK(np.where(np.isfinite(best), order, -1), best)


def candidates(model: Model[Any], members: Members, k: int, seen: Exclude, new: NewTitles | None, share: float) -> Candidates:
    """The candidates of some members.

    Parameters
    ----------
    k : titles a member at most.
    seen : `(n, titles)` CSR, left out.
    share : of the k titles at most so many are new ones; they come last, with the last score of the list.
    """
    top, scores = _ranked(model, members, k, seen)
    places = 0 if new is None else min(round(share * k), len(new.title_ids), k - 1)
    if new is None or places < 1:
        return Candidates(top, scores)
    fresh = new.best(members, places)
    listed = (top.titles >= 0).sum(axis=1)  # (n,)
    fits = np.minimum(listed, k - (fresh.titles >= 0).sum(axis=1))  # (n,) of the model's own titles
    own = np.arange(top.titles.shape[1]) < fits[:, None]
    last = np.where(own, top.scores, np.inf).min(axis=1, initial=np.inf)  # (n,)
    last = np.where(np.isfinite(last), last, 0).astype(np.float32)
    offset = len(model.title_ids)
    titles = np.where(own, top.titles, -1)
    titles = np.concatenate([titles, np.where(fresh.titles >= 0, fresh.titles + offset, -1)], axis=1).astype(np.int32)
    ranked = np.concatenate([np.where(own, top.scores, -np.inf), np.where(fresh.titles >= 0, last[:, None], -np.inf)], axis=1)
    nothing = np.full(fresh.titles.shape, np.nan, np.float32)
    by_source = {name: np.concatenate([given, nothing], axis=1) for name, given in scores.items()}
    by_source[CONTENT] = np.concatenate([np.full(top.titles.shape, np.nan, np.float32), fresh.scores], axis=1)
    return Candidates(TopK(titles, ranked.astype(np.float32)), by_source)


def _ranked(model: Model[Any], members: Members, k: int, seen: Exclude) -> tuple[TopK, dict[str, FloatArray]]:
    """The model's list and its sources' scores, on the scale of iALS where that is among them."""
    if not isinstance(model, Blend):
        top = model.recommend(members, k, seen)
        return top, {model.name: top.scores}
    found = model.recommend_with_sources(members, k, seen)
    if part_of(model, IALS) is None:
        return found.top, found.scores
    scale = found.lists[IALS.name].scores  # (n, k) best first
    least = np.where(np.isfinite(scale), scale, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    scale = np.where(np.isfinite(scale), scale, np.where(np.isfinite(least), least, 0))
    return TopK(found.top.titles, np.where(found.top.titles >= 0, scale, -np.inf).astype(np.float32)), found.scores
