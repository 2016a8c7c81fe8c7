"""The plays' side of trending: a follower that counts each batch's starts."""

from nearline.following import Batch
from nearline.trending.counting import TrendingCounter
from shared.events import Play


class StartsFollower:
    """Counts the starts in batches of plays; passes over batches of other topics."""

    def __init__(self, counter: TrendingCounter, topic: str) -> None:
        self._counter = counter
        self._topic = topic

    def follow(self, batch: Batch) -> None:
        """Count; what was counted before is not counted again. See `nearline.following.Follower`."""
        if batch.source.topic != self._topic:
            return
        # Plays that are no starts are most of the load: they may cost no more than this look.
        starts = [
            (record, event)
            for record, event in zip(batch.records, batch.events, strict=True)
            if isinstance(event, Play) and event.kind == "start"
        ]
        if starts:
            self._counter.count_starts(batch.source, starts)
