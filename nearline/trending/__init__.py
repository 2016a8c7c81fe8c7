"""Live trending: plays joined with impressions, counted in windows by country and part of the day, published every few seconds.

    plays        ──► StartsFollower ────┐
                                        ├──► TrendingCounter ──► Redis ──► TrendingPublisher ──► online
    impressions  ──► ImpressionsWriter ─┘

A *take* is a start of a title from a page that showed it. A cell of a page counts once as an impression and once as a take,
whatever comes first and however often.
"""

from dataclasses import dataclass

import redis

from nearline.dead_letters.letters import DeadLetters
from nearline.states.watermarks import Watermarks
from nearline.trending.counting import TrendingCounter
from nearline.trending.impressions import ImpressionsWriter
from nearline.trending.plays import StartsFollower
from nearline.trending.publishing import TrendingPublisher
from shared.config import Config

__all__ = ["ImpressionsWriter", "StartsFollower", "Trending", "TrendingCounter", "TrendingPublisher"]


@dataclass(frozen=True, slots=True)
class Trending:
    """The three parts of trending that a worker runs."""

    starts: StartsFollower
    impressions: ImpressionsWriter
    publisher: TrendingPublisher

    @staticmethod
    def build(
        client: redis.Redis, own_client: redis.Redis, config: Config, watermarks: Watermarks, dead_letters: DeadLetters
    ) -> "Trending":
        """The parts for one worker.

        Parameters
        ----------
        client : the state writer's, without retries of its own and watched by the watermarks.
        own_client : for the publisher, which works in another thread.
        watermarks : must know the epoch of the impressions topic.
        """
        counter = TrendingCounter(client, config)
        return Trending(
            StartsFollower(counter, config.kafka.plays_topic),
            ImpressionsWriter(counter, watermarks, dead_letters),
            TrendingPublisher(own_client, config),
        )
