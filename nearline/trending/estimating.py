"""Take-rates with a prior and their uncertainty, and the order of titles that follows. Pure.

A title's take-rate in one segment (country and part of the day) has a Beta posterior. Its prior is empirical Bayes, worth
`strength` impressions and centred on what all other segments say about the title, brought to this segment's level; their own
prior is centred on the overall rate. So a title with few impressions here stays near what is known of it elsewhere, and one
that is new everywhere stays near the average title. Counts are decayed with age, which makes old evidence weigh less and the
posterior wider (a power prior: Ibrahim and Chen, 2000).

Titles are ordered by the lower credible bound, not the mean: at the top of many titles the greatest means are those of titles
with few impressions and luck, while a lower bound is high only where the rate is both high and known.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

POOL = 8
"""Exact quantiles are worked out for so many times the titles asked for, those best by the normal approximation."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Decayed counts of each title, (titles,) each. A take is also a start; there may be starts that no page accounts for."""

    impressions: Floats
    takes: Floats
    starts: Floats

    def __sub__(self, other: "Counts") -> "Counts":
        """What is left without some of it."""
        return Counts(
            np.maximum(self.impressions - other.impressions, 0.0),
            np.maximum(self.takes - other.takes, 0.0),
            np.maximum(self.starts - other.starts, 0.0),
        )


@dataclass(frozen=True, slots=True)
class Posterior:
    """Beta distributions, (titles,) each parameter."""

    takes: Floats
    passes: Floats

    @property
    def mean(self) -> Floats:
        """(titles,) the expected rates."""
        return self.takes / (self.takes + self.passes)

    @property
    def deviation(self) -> Floats:
        """(titles,) the standard deviations."""
        total = self.takes + self.passes
        deviation: Floats = np.sqrt(self.takes * self.passes / (total + 1.0)) / total
        return deviation

    def quantile(self, chance: float) -> Floats:
        """(titles,) what the rates are below with this chance."""
        return np.asarray(special.betaincinv(self.takes, self.passes, chance), dtype=np.float64)

    def among(self, chosen: npt.NDArray[np.intp]) -> "Posterior":
        """Of some titles only."""
        return Posterior(self.takes[chosen], self.passes[chosen])


@dataclass(frozen=True, slots=True)
class Estimate:
    """The best titles of a segment, (n,) each, best first. See `shared.trending.TrendingTitle` for what they mean."""

    titles: npt.NDArray[np.intp]
    score: Floats
    rate: Floats
    deviation: Floats
    lower: Floats


def posterior(successes: Floats, trials: Floats, centre: Floats | float, strength: float) -> Posterior:
    """Rates after `successes` of `trials`, both (titles,), under a Beta prior of mean `centre` worth `strength` trials."""
    centre = np.clip(centre, 1e-9, 1.0 - 1e-6)
    # Takes and impressions decay by the same page's time, so there are never more of the former, but for rounding.
    return Posterior(centre * strength + successes, (1.0 - centre) * strength + np.maximum(trials - successes, 0.0))


def take_rates(own: Counts, others: Counts, strength: float) -> tuple[Posterior, float]:
    """The take-rates of one segment, and its level: the rate of all its titles together.

    Parameters
    ----------
    own : counts of the segment.
    others : counts of all other segments.
    """
    overall = rate(own.takes.sum() + others.takes.sum(), own.impressions.sum() + others.impressions.sum(), 0.0, 1.0)
    elsewhere = rate(others.takes.sum(), others.impressions.sum(), overall, strength)
    level = rate(own.takes.sum(), own.impressions.sum(), overall, strength)
    centre = posterior(others.takes, others.impressions, elsewhere, strength).mean
    if elsewhere > 0:
        centre = centre * (level / elsewhere)
    return posterior(own.takes, own.impressions, centre, strength), level


def start_shares(own: Counts, strength: float) -> tuple[Posterior, float]:
    """Each title's share of the segment's starts under a prior of equal shares, and that equal share."""
    equal = 1.0 / max(1, len(own.starts))
    return posterior(own.starts, np.full_like(own.starts, own.starts.sum()), equal, strength), equal


def estimate(own: Counts, others: Counts, strength: float, credibility: float, limit: int) -> Estimate:
    """The `limit` most trending titles among those that were started in the segment.

    The score is the geometric mean of two lifts over the segment's average title, each of a lower bound: of the take-rate, and
    of the title's share of all starts. The second weighs as much as is the share of starts that no shown cell accounts for: a
    service that logs no impressions is ordered by starts alone, one whose starts all come from pages by take-rate alone.
    """
    rates, level = take_rates(own, others, strength)
    shares, equal = start_shares(own, strength)
    all_starts = max(own.starts.sum(), own.takes.sum())
    organic = 1.0 - own.takes.sum() / all_starts if all_starts > 0 else 0.0
    chance = 1.0 - credibility
    active = np.flatnonzero((own.starts > 0) | (own.takes > 0))  # (active,)

    def score(lower_rate: Floats, lower_share: Floats) -> Floats:
        lifts = np.log(np.maximum(lower_rate, 1e-12) / max(level, 1e-12)), np.log(np.maximum(lower_share, 1e-12) / equal)
        found: Floats = np.exp((1.0 - organic) * lifts[0] + organic * lifts[1])
        return found

    if len(active) > POOL * limit:
        away = special.ndtri(credibility)
        nearly = score(rates.mean - away * rates.deviation, shares.mean - away * shares.deviation)[active]
        active = active[np.argsort(-nearly, kind="stable")[: POOL * limit]]
    known, started = rates.among(active), shares.among(active)
    lower = known.quantile(chance)
    scores = score(lower, started.quantile(chance))
    order = np.argsort(-scores, kind="stable")[:limit]
    return Estimate(active[order], scores[order], known.mean[order], known.deviation[order], lower[order])


def rate(successes: float, trials: float, centre: float, strength: float) -> float:
    """The mean of one Beta posterior."""
    return float((centre * strength + successes) / (strength + trials))
