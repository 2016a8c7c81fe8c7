"""A snapshot in memory, fitted on the past as a night's run does: candidates, similar titles, popularity, factors to retrieve by.

The nightly jobs do this with Spark on the lake; here the same models learn from one history in one process, with the default
settings unless others are given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from offline.candidate_lists import NewTitles, candidates
from offline.evaluation.pages.past import History
from offline.interactions import Ids, Interactions
from offline.models import IALS, Model
from offline.models.blend import part_of
from offline.models.similar import similar_titles
from offline.training.configured import configured_model
from shared.config import TrainingConfig
from shared.errors import ModelError
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY
from shared.pages.attention import ARRAY, BrowseModel
from shared.pages.facts import Candidates
from shared.snapshots import Manifest, Snapshot
from shared.titles import UNKNOWN_COUNTRY, Catalogue

HOUR_MS = 3_600_000
MEMBERS_AT_ONCE = 4096
IntArray = npt.NDArray[np.int32]


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
    members_of: npt.NDArray[np.int64]
    members: int


def fit(past: History, training: TrainingConfig, browse: BrowseModel, version: str = "evaluated") -> Fitted:
    """Fit on a history: the configured model, and its iALS for similar titles and for retrieving anew.

    Raises
    ------
    InputError, ModelError : there is nothing to learn from, or the model has no iALS.
    """
    interactions = past.interactions()
    model = configured_model(training).fit(interactions)
    ials = part_of(model, IALS)
    if ials is None:
        raise ModelError(f"the configured model, {model.name!r}, has no iALS, by whose factors titles are similar and retrieved")
    places = _places(past, interactions.title_ids)  # (model's titles,)
    near = similar_titles(ials.title_factors, interactions.on_titles(ials.title_ids).matrix, training.similar)
    arrays: dict[str, npt.NDArray[Any]] = {
        "similar_titles": _placed(np.where(near.titles >= 0, places[near.titles], -1).astype(np.int32), places, past, -1),
        "similar_scores": _placed(np.where(near.titles >= 0, near.scores, 0).astype(np.float32), places, past, 0),
        FACTORS_ARRAY: _placed(ials.title_factors, places, past, 0),
        TERMS_ARRAY: np.array(ials.terms, np.float64),
        ARRAY: browse.to_array(),
        **_popularity(past, interactions, places, training.trending_half_life_h),
    }
    manifest = Manifest(
        version=version,
        created_at_ms=int(past.at_ms[-1]) + 1,
        members=len(interactions.member_ids),
        titles=len(past.titles),
        candidates_checksum=0,
        bundle_checksum=0,
        model=model.name,
    )
    played = np.zeros(len(past.titles), dtype=np.int64)
    played[places] = np.bincount(interactions.matrix.indices, minlength=len(places))
    lists = _candidates(past, interactions, model, ials, training)
    return Fitted(Snapshot(manifest, Catalogue(past.titles), arrays), lists, played, len(interactions.member_ids))


def _places(past: History, title_ids: Sequence[str] | Ids) -> IntArray:
    """Where titles are in the catalogue, (n,)."""
    index = {title.title_id: place for place, title in enumerate(past.titles)}
    return np.array([index[title_id] for title_id in title_ids], dtype=np.int32)


def _placed(rows: npt.NDArray[Any], places: IntArray, past: History, other: int) -> npt.NDArray[Any]:
    """Rows of the model's titles, (model's titles, n), as rows of the catalogue's, (titles, n); `other` for those it lacks."""
    placed = np.full((len(past.titles), rows.shape[1]), other, dtype=rows.dtype)
    placed[places] = rows
    return placed


def _candidates(
    past: History, interactions: Interactions, model: Model[Any], ials: IALS, training: TrainingConfig
) -> dict[str, Candidates]:
    """Each member's titles that they have not played yet, a few of them played by nobody, as the nightly job has them."""
    genres = {title.title_id: title.genres for title in past.titles}
    new = NewTitles(ials, genres) if training.new_title_share > 0 else None
    places = _places(past, [*model.title_ids, *(() if new is None else new.title_ids)])
    members = np.arange(len(interactions.member_ids))
    found: dict[str, Candidates] = {}
    for start in range(0, len(members), MEMBERS_AT_ONCE):
        block = members[start : start + MEMBERS_AT_ONCE]
        k = min(training.candidates, len(places))
        top = candidates(model, block, k, interactions.select(block).matrix, new, training.new_title_share).top
        for member_id, titles, scores in zip(interactions.member_ids[block], top.titles, top.scores, strict=True):
            kept = titles >= 0
            if kept.any():
                found[member_id] = Candidates(places[titles[kept]], scores[kept])
    return found


def _popularity(
    past: History, interactions: Interactions, places: IntArray, half_life_h: float
) -> dict[str, npt.NDArray[np.int32]]:
    """All titles by how many members played them: overall, lately and by country; equal ones as `offline.popularity` has them."""
    assert interactions.at_ms is not None  # a history has times
    titles = places[interactions.matrix.indices]  # (entries,)
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
