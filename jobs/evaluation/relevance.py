"""What the log says is relevant to a query, and what a system may know of the days before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Days:
    """The days of one evaluation, as dt strings, ascending: training, then validation, then test.

    `cut` is the first day after training.
    """

    train: list[str]
    validation: list[str]
    test: list[str]
    cut: date

    @staticmethod
    def ending(day: date, window: int, validation: int, test: int) -> Days:
        """The last `test` of `window` days are judged; what may be known ends before the `validation` days.

        Without test days the date itself is judged.
        """
        judged = max(test, 1)
        days = [day - timedelta(days=n) for n in reversed(range(window))]
        cut = day - timedelta(days=judged + validation - 1)
        between = [d.isoformat() for d in days[:-judged] if d >= cut]
        return Days([d.isoformat() for d in days if d < cut], between, [d.isoformat() for d in days[-judged:]], cut)


def conversions(requests: DataFrame, impressions: DataFrame, candidates: DataFrame) -> DataFrame:
    """Relevant items of each distinct normalised query: (query_norm, dense_id, ordered, clicked).

    An item is *ordered* (*clicked*) where some request with that query led to an order that was not
    refunded (to a click), by the attribution of `label_impressions`. A request without words is no query. Items
    that cannot be retrieved (not among `candidates`) have a null dense_id, so that they can be counted.
    """
    converted = impressions.where("clicked_ts is not null or ordered_ts is not null")
    pairs = requests.where("query_norm <> ''").select("query_id", "query_norm").join(converted, "query_id")
    distinct = pairs.groupBy("query_norm", "object_id").agg(
        F.max(F.col("ordered_ts").isNotNull()).alias("ordered"),
        F.max(F.col("clicked_ts").isNotNull()).alias("clicked"),
    )
    return distinct.join(candidates, "object_id", "left").select("query_norm", "dense_id", "ordered", "clicked")


def conversion_counts(truth: DataFrame) -> DataFrame:
    """One row: queries with a conversion, pairs by truth, and those of them that nobody can retrieve."""
    return truth.agg(
        F.countDistinct("query_norm").alias("queries"),
        F.count_if("ordered").alias("ordered"),
        F.count_if("clicked").alias("clicked"),
        F.count_if(F.col("ordered") & F.col("dense_id").isNull()).alias("ordered_without_vector"),
        F.count_if(F.col("clicked") & F.col("dense_id").isNull()).alias("clicked_without_vector"),
    )


def sample_queries(truth: DataFrame, seed: int, limit: int) -> DataFrame:
    """At most `limit` distinct queries with a retrievable item, by hash: (query_norm)."""
    queries = truth.where("dense_id is not null").select("query_norm").distinct()
    return queries.orderBy(F.xxhash64(F.lit(seed), "query_norm"), "query_norm").limit(limit)


def relevant_items(truth: DataFrame, queries: DataFrame, seed: int, limit: int) -> DataFrame:
    """Up to `limit` retrievable items of each chosen query, by hash: (query, dense_id, ordered, clicked).

    `queries` is (query, query_norm). Recall over a random part of the relevant items has the expectation of
    recall over all of them, and bounds what a head query can bring.
    """
    kept = truth.where("dense_id is not null").join(F.broadcast(queries), "query_norm")
    order = Window.partitionBy("query").orderBy(F.xxhash64(F.lit(seed), "query_norm", "dense_id"), "dense_id")
    ranked = kept.withColumn("place", F.row_number().over(order)).where(F.col("place") <= limit)
    return ranked.select("query", "dense_id", "ordered", "clicked")


def trained_items(impressions: DataFrame, relevant: DataFrame, candidates: DataFrame, cut: date) -> DataFrame:
    """The relevant items (query, dense_id) that led to a click or an order before `cut`: (dense_id), each once."""
    converted = impressions.where((F.col("ordered_ts") < start_of(cut)) | (F.col("clicked_ts") < start_of(cut)))
    asked = candidates.join(F.broadcast(relevant.select("dense_id").distinct()), "dense_id")
    return asked.join(converted.select("object_id"), "object_id", "left_semi").select("dense_id")


def main_categories(relevant: DataFrame, items: DataFrame) -> DataFrame:
    """The top category that most relevant items of a query stand in: (query, category); null categories do not count."""
    top = items.select("dense_id", F.trim(F.split("category_path", ">")[0]).alias("category")).where("category <> ''")
    counted = top.join(F.broadcast(relevant.select("query", "dense_id")), "dense_id").groupBy("query", "category").count()
    return counted.groupBy("query").agg(F.max(F.struct("count", "category")).alias("most")).select("query", "most.category")


def start_of(day: date) -> Column:
    """Its first moment, UTC."""
    return F.lit(datetime(day.year, day.month, day.day, tzinfo=timezone.utc))


def popular_items(impressions: DataFrame, candidates: DataFrame, cut: date, depth: int) -> DataFrame:
    """The `depth` retrievable items with most orders before `cut`, then most clicks: (dense_id), best first."""
    before = start_of(cut)
    counted = impressions.groupBy("object_id").agg(
        F.count_if(F.col("ordered_ts") < before).alias("orders"),
        F.count_if(F.col("clicked_ts") < before).alias("clicks"),
    )
    known = counted.where("orders + clicks > 0").join(candidates, "object_id")
    return known.orderBy(F.desc("orders"), F.desc("clicks"), F.desc("dense_id")).limit(depth).select("dense_id")


def query_frequency(requests: DataFrame, cut: date) -> DataFrame:
    """Requests of each normalised query before `cut`: (query_norm, requests)."""
    before = requests.where((F.col("event_date") < F.lit(cut)) & (F.col("query_norm") != ""))
    return before.groupBy("query_norm").agg(F.count("*").alias("requests"))


def frequency_of_frequencies(frequency: DataFrame) -> DataFrame:
    """How many queries have each number of requests: few rows however long the log, most frequent first."""
    return frequency.groupBy("requests").agg(F.count("*").alias("queries")).orderBy(F.desc("requests"))


def oracle_items(
    requests: DataFrame, queries: DataFrame, intents: DataFrame, utility: DataFrame, candidates: DataFrame, depth: int
) -> DataFrame:
    """What a system that knows the hidden truth retrieves: (query, dense_id, place), place from 1 to `depth`.

    Ranked by the expected order probability: the mean of `order_probability` over the intents that were behind
    the query's requests on the judged days. `intents` is (query_id, intent_id), `utility` (intent_id,
    object_id, order_probability).
    """
    asked = requests.select("query_id", "query_norm").join(F.broadcast(queries), "query_norm")
    weights = asked.join(intents, "query_id").groupBy("query", "intent_id").agg(F.count("*").alias("requests"))
    likely = utility.where("order_probability > 0").join(F.broadcast(weights), "intent_id")
    expected = likely.groupBy("query", "object_id").agg(
        # Sums of doubles depend on their order; rounded, equal probabilities stay equal.
        F.round(F.sum(F.col("requests") * F.col("order_probability")), 9).alias("orders")
    )
    order = Window.partitionBy("query").orderBy(F.desc("orders"), F.desc("dense_id"))
    ranked = expected.join(candidates, "object_id").withColumn("place", F.row_number().over(order))
    return ranked.where(F.col("place") <= depth).select("query", "dense_id", "place")
