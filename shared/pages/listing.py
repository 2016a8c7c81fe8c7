"""One ranked list made of a ranking. Pure."""

from collections.abc import Collection

from shared.pages.answers import Recommendation
from shared.pages.assembly import picked
from shared.pages.blending import TIERS, Pool
from shared.pages.ranking import Ranking
from shared.pages.serving import Serving


def listed(serving: Serving, pool: Pool, ranking: Ranking, k: int, skipped: Collection[int] = ()) -> list[Recommendation]:
    """The first k titles of a ranking, without those that are skipped."""
    at = ranking.order[: k + len(skipped)].tolist()
    if skipped:
        at = [title for title in at if title not in skipped][:k]
    if not at:
        return []
    places = pool.places[at]
    return list(
        map(
            Recommendation, picked(serving.ids, at), picked(serving.names, at), range(len(at)), ranking.scores[at].tolist(),
            picked(TIERS, pool.tier_codes[places].tolist()), picked(pool.reason_texts, pool.reasons[places].tolist()),
        )
    )  # fmt: skip
