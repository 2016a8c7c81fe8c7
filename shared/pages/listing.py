"""One ranked list made of a ranking. Pure."""

from shared.pages.answers import Recommendation
from shared.pages.assembly import picked
from shared.pages.blending import TIERS, Pool
from shared.pages.ranking import Ranking
from shared.pages.serving import Serving


def listed(serving: Serving, pool: Pool, ranking: Ranking, k: int) -> list[Recommendation]:
    """The first k titles of a ranking."""
    titles = ranking.order[:k]
    at = titles.tolist()
    places = pool.places[titles]
    return list(
        map(
            Recommendation, picked(serving.ids, at), picked(serving.names, at), range(len(at)), ranking.scores[titles].tolist(),
            picked(TIERS, pool.tier_codes[places].tolist()), picked(pool.reason_texts, pool.reasons[places].tolist()),
        )
    )  # fmt: skip
