"""Why each cell of a page is there, from what was at hand when the page was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from shared.pages.answers import Cell, Tier
from shared.pages.blending import SOURCES, Pool
from shared.pages.cursor import Cursor, encode
from shared.pages.facts import Facts
from shared.pages.features import features
from shared.pages.policies.view import Placed
from shared.pages.ranking import Ranking, ranker_of
from shared.pages.request import Request
from shared.pages.serving import Serving

WEIGHED_MOST = 6
"""Features told of a cell."""


class SourceShare(msgspec.Struct, frozen=True):
    """What one source says about a title: its own score, from 0 to 1."""

    source: str
    score: float


class FeatureShare(msgspec.Struct, frozen=True):
    """What one feature adds to the ranker's score of a title, in units of the logit, against an average title's."""

    feature: str
    value: float
    weight: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one cell is there.

    Attributes
    ----------
    sources : those that name the title, the strongest first; none for a title that only fills its row by popularity.
    blended : the blend's score; None outside the pool.
    score : what the title was ordered by, the ranker's where there is one.
    features : that weighed most; none without a ranker.
    """

    title_id: str
    name: str
    row: str
    row_index: int
    rank: int
    tier: Tier
    evidence: str
    score: float
    blended: float | None
    sources: tuple[SourceShare, ...]
    features: tuple[FeatureShare, ...]
    propensity: float
    snapshot: str
    state_age_ms: int | None
    allocation: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reasons:
    """What a page was made from; kept with it, so that an explanation costs nothing until somebody asks."""

    request: Request
    serving: Serving
    facts: Facts
    pool: Pool
    ranking: Ranking
    allocation: Mapping[str, str]
    placed: Sequence[Placed] = ()
    above: Cursor | None = None
    page_id: str = ""

    def cursor(self) -> str:
        """What a client hands back to see more below the page, or to the right of its rows."""
        begun = self.above or Cursor(self.page_id, self.serving.version, 0, self.request.now_ms)
        return encode(begun.after(self.placed))

    def explain(self, cell: Cell) -> Explanation:
        """Why a cell of the page is there."""
        title = self.serving.index[cell.title_id]
        place = int(self.pool.places[title]) - 1
        sources: tuple[SourceShare, ...] = ()
        weighed: tuple[FeatureShare, ...] = ()
        if place >= 0:
            of = self.pool.source_scores[:, place].tolist()
            named = [SourceShare(name, score) for name, score in zip(SOURCES, of, strict=True) if score > 0.0]
            sources = tuple(sorted(named, key=lambda share: -share.score))
            ranker = ranker_of(self.serving)
            if ranker is not None:
                at = slice(place, place + 1)
                row = features(
                    self.serving, self.facts.state, self.request, self.pool.titles[at], self.pool.source_scores[:, at]
                )[0]
                weighed = tuple(FeatureShare(*each) for each in ranker.contributions(row)[:WEIGHED_MOST])
        updated_ms = self.facts.state.updated_at_ms
        return Explanation(
            title_id=cell.title_id,
            name=cell.name,
            row=cell.row,
            row_index=cell.row_index,
            rank=cell.rank,
            tier=cell.tier,
            evidence=cell.evidence,
            score=cell.score,
            blended=float(self.pool.scores[place]) if place >= 0 else None,
            sources=sources,
            features=weighed,
            propensity=cell.propensity,
            snapshot=self.serving.version,
            state_age_ms=max(0, self.request.now_ms - updated_ms) if self.facts.fence else None,
            allocation=dict(self.allocation),
        )
