"""Ranks the whole catalogue by what is played: overall, lately, and in each country."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from offline.jobs import Context, Job
from shared import tables
from shared.lake import Lake
from shared.titles import UNKNOWN_COUNTRY

POPULAR = "popular"
TRENDING = "trending"


def work(context: Context) -> dict[str, str]:
    """Write all lists."""
    lake = context.lake
    ranked = ranking(lake, context.config.training.trending_half_life_h)
    version = lake.overwrite(ranked, tables.POPULARITY)
    names = lake.read(tables.POPULARITY, version).select("list").distinct().count()
    return {"lists": str(names)}


def ranking(lake: Lake, half_life_h: float) -> DataFrame:
    """`list, rank, title_id, score`: each list ranks every title.

    A title's score is the number of members who played it; in `trending` a member counts 2 ** (-age / half life), the
    age taken from the newest play of all. Equal scores are settled by the later release, then by title_id.
    """
    latest = lake.read(tables.INTERACTIONS)
    titles = lake.read(tables.TITLES).select("title_id", "released_ms")
    newest = F.broadcast(latest.agg(F.max("at_ms").alias("newest_ms")))
    age_h = (F.col("newest_ms") - F.col("at_ms")) / 3_600_000
    decayed = latest.crossJoin(newest).select("title_id", F.pow(F.lit(2.0), -age_h / half_life_h).alias("score"))
    by_country = latest.where(F.col("country") != UNKNOWN_COUNTRY).select(
        F.concat(F.lit(f"{POPULAR}/"), "country").alias("list"), "title_id", F.lit(1.0).alias("score")
    )
    scores = (
        latest.select(F.lit(POPULAR).alias("list"), "title_id", F.lit(1.0).alias("score"))
        .unionByName(decayed.select(F.lit(TRENDING).alias("list"), "title_id", "score"))
        .unionByName(by_country)
        .groupBy("list", "title_id")
        .agg(F.sum("score").alias("score"))
    )
    names = scores.select("list").distinct()
    by_score = Window.partitionBy("list").orderBy(F.desc("score"), F.desc_nulls_last("released_ms"), "title_id")
    return (
        names.crossJoin(titles)
        .join(scores, ["list", "title_id"], "left")
        .withColumn("score", F.coalesce("score", F.lit(0.0)))
        .withColumn("rank", F.row_number().over(by_score))
        .select("list", "rank", "title_id", "score")
    )


JOB = Job(
    name="popularity",
    summary="rank the catalogue by plays, overall, lately and by country",
    reads=(tables.INTERACTIONS, tables.TITLES),
    writes=(tables.POPULARITY,),
    work=work,
    settings=lambda config: config.training.trending_half_life_h,
)
