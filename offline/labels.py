"""What a play says about taste: plays in, one weighted interaction a member and title out. Called by the training jobs.

`shared.histories` makes the same of a member's live state.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from shared.histories import GLANCE_SHARE, REPEAT_LIMIT


def interactions(plays: DataFrame) -> DataFrame:
    """Reduce plays to `member_id, title_id, weight, at_ms, country`, one row a member and title.

    A play that carries a weight (a rating, an imported count) weighs that, divided by the mean of all such weights; any
    other weighs the share of the title that was watched, sessions added up to `REPEAT_LIMIT`. A title abandoned within
    `GLANCE_SHARE` weighs 0: it is known as seen and teaches nothing.

    `at_ms` is the latest play's time, and `country` where that was.
    """
    sessions = plays.groupBy("member_id", "title_id", "session_id").agg(
        F.max(_share()).alias("share"),
        F.max("weight").alias("explicit"),
        F.max("at_ms").alias("at_ms"),
        F.max_by("country", F.struct("at_ms", "event_id")).alias("country"),
    )
    watched = F.sum("share")
    merged = sessions.groupBy("member_id", "title_id").agg(
        F.max("explicit").alias("explicit"),
        F.when(watched < GLANCE_SHARE, 0.0).otherwise(F.least(watched, F.lit(REPEAT_LIMIT))).alias("watched"),
        F.max("at_ms").alias("at_ms"),
        F.max_by("country", F.struct("at_ms", "session_id")).alias("country"),
    )
    mean = plays.where("weight > 0").agg(F.avg("weight").alias("mean_weight"))
    weight = F.coalesce(F.col("explicit") / F.col("mean_weight"), F.col("watched"))
    return merged.crossJoin(F.broadcast(mean)).select(
        "member_id", "title_id", weight.cast("float").alias("weight"), "at_ms", "country"
    )


def _share() -> Column:
    """How far into the title a report is, from 0 to 1."""
    return F.least(F.lit(1.0), F.col("position_s") / F.col("runtime_s"))
