"""A snapshot in memory, fitted on the past as a night's run does: candidates, similar titles, popularity, factors to retrieve by.

The nightly jobs do this with Spark on the lake; here the same models learn from one history in one process, with the default
settings unless others are given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from offline.evaluation.pages.past import History
from offline.interactions import Interactions, id_array
from offline.models import IALS
from offline.models.ials import IALSSettings
from offline.models.similar import similar_titles
from shared.config import TrainingConfig
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY
from shared.pages.attention import ARRAY, BrowseModel
from shared.pages.facts import Candidates
from shared.snapshots import Manifest, Snapshot
from shared.titles import UNKNOWN_COUNTRY, Catalogue

HOUR_MS = 3_600_000
IntArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Fitted:
    """What a night's run leaves.

    Attributes
    ----------
    candidates : of each member with a past, best first.
    members_of : (titles,) how many members played each title.
    members : with a past.
    """

    snapshot: Snapshot
    candidates: Mapping[str, Candidates]
    members_of: IntArray
    members: int


def fit(past: History, training: TrainingConfig, browse: BrowseModel, version: str = "evaluated") -> Fitted:
    """Fit on a history.

    Raises
    ------
    InputError, ModelError : there is nothing to learn from.
    """
    interactions = past.interactions().on_titles(id_array([title.title_id for title in past.titles]))
    made_at_ms = int(past.at_ms[-1]) + 1
    model = IALS(
        IALSSettings(
            factors=training.factors,
            iterations=training.iterations,
            unobserved_pull=training.unobserved_pull,
            regularisation=training.regularisation,
            seed=training.seed,
        )
    ).fit(interactions)
    near = similar_titles(model.title_factors, interactions.matrix, training.similar)
    arrays: dict[str, npt.NDArray[Any]] = {
        "similar_titles": near.titles,
        "similar_scores": np.where(near.titles >= 0, near.scores, 0.0).astype(np.float32),
        FACTORS_ARRAY: model.title_factors,
        TERMS_ARRAY: np.array(model.terms, np.float64),
        ARRAY: browse.to_array(),
        **_popularity(past, interactions, training.trending_half_life_h),
    }
    manifest = Manifest(
        version=version,
        created_at_ms=made_at_ms,
        members=len(interactions.member_ids),
        titles=len(past.titles),
        candidates_checksum=0,
        bundle_checksum=0,
        model="ials",
    )
    played = np.bincount(interactions.matrix.indices, minlength=len(past.titles))
    candidates = _candidates(model, interactions, training.candidates)
    return Fitted(Snapshot(manifest, Catalogue(past.titles), arrays), candidates, played, len(interactions.member_ids))


def _candidates(model: IALS, interactions: Interactions, k: int) -> dict[str, Candidates]:
    """Each member's titles that they have not played yet."""
    members = np.arange(len(interactions.member_ids))
    top = model.recommend(members, min(k, len(interactions.title_ids)), interactions.matrix)
    found: dict[str, Candidates] = {}
    for member_id, titles, scores in zip(interactions.member_ids, top.titles, top.scores, strict=True):
        kept = titles >= 0
        if kept.any():
            found[member_id] = Candidates(titles[kept], scores[kept])
    return found


def _popularity(past: History, interactions: Interactions, half_life_h: float) -> dict[str, npt.NDArray[np.int32]]:
    """All titles by how many members played them: overall, lately and by country; equal ones as `offline.popularity` has them."""
    assert interactions.at_ms is not None  # a history has times
    titles = interactions.matrix.indices  # (entries,)
    ages_h = (interactions.at_ms.max() - interactions.at_ms) / HOUR_MS
    released_ms = np.array([np.iinfo(np.int64).min if one.released_ms is None else one.released_ms for one in past.titles])
    # The title_id settles what is left, and titles stand in its order.
    latest_first = np.argsort(-released_ms.astype(np.float64), kind="stable")  # (titles,)

    def ranked(of: IntArray, weights: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.int32]:
        score = np.bincount(of, weights, len(past.titles))  # (titles,)
        order = latest_first[np.argsort(-score[latest_first], kind="stable")]
        return order.astype(np.int32)

    found = {"popular": ranked(titles), "trending": ranked(titles, 2.0 ** (-ages_h / half_life_h))}
    latest = past.plays.group_by(["member_id", "title_id"], use_threads=False).aggregate([("country", "last")])
    index = pa.array([title.title_id for title in past.titles])
    countries = latest["country_last"].to_numpy(zero_copy_only=False)
    played = np.asarray(pa.compute.index_in(latest["title_id"], index))
    for country in sorted(set(countries) - {UNKNOWN_COUNTRY}):
        found[f"popular/{country}"] = ranked(played[countries == country])
    return found
