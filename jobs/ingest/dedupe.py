"""Duplicates: within an arrival day by rank, across arrival days against what was accepted before.

The two are kept apart so that the outcome does not depend on how the days are split into
runs: bots are judged on one arrival day, after its own duplicates are gone, and a later
copy is a duplicate only of an ACCEPTED earlier one (one that was a bot's is not published,
so a later run could not know of it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SEPARATOR = "\u0001"


def identity() -> Column:
    """Who acted: the client, else the session, else the user; null where the log does not say."""
    return F.coalesce("client_id", "session_id", "user_key")


def natural_key() -> Column:
    """SHA-256 over (query id, action, object id, second, who): what makes two events without an id the same."""
    second = F.unix_seconds("ts").cast("string")
    parts = [F.coalesce(c, F.lit("")) for c in (F.col("query_id"), F.col("action"), F.col("object_id"), second, identity())]
    return F.sha2(F.concat_ws(SEPARATOR, *parts), 256)


def with_key(records: DataFrame) -> DataFrame:
    """Adds `key`: the event id, else the natural key; the query id. A record that is out already has one of its own."""
    own = F.concat_ws(SEPARATOR, "file", "line", "record")
    key = F.when(F.col("kind") == "event", F.coalesce("event_id", natural_key())).otherwise(F.col("query_id"))
    return records.withColumn("key", F.when(F.col("disposition").isNull(), key).otherwise(own))


def rank_within_day(records: DataFrame) -> DataFrame:
    """Marks all but the first record of a key and arrival day, in the order (ts, digest of the line, file, line, record).

    Later events of a key are duplicates. Later documents of a query id are merged into the first, except
    the same line once more, which is a duplicate. Adds `first_day`: the first arrival day of the key in this run.
    """
    order = [F.asc_nulls_last(name) for name in ("ts", "digest", "file", "line", "record")]
    within_day = Window.partitionBy("kind", "key", "arrival_date").orderBy(*order)
    over_days = Window.partitionBy("kind", "key").orderBy("arrival_date", *order)
    ranked = records.withColumns({
        "rank": F.row_number().over(within_day),
        "same": F.coalesce(F.lag("digest").over(within_day) == F.col("digest"), F.lit(False)),
        "first_day": F.first("arrival_date").over(over_days),
    })
    event, query = F.col("kind") == "event", F.col("kind") == "query"
    later = F.col("disposition").isNull() & (F.col("rank") > 1)
    by_id = F.when(F.col("event_id").isNotNull(), "event_id").otherwise("natural_key")
    return ranked.withColumns({
        "disposition": F.when(later & query & ~F.col("same"), "merged").when(later, "duplicate").otherwise(F.col("disposition")),
        "reason": F.when(later & event, by_id).when(later & F.col("same"), "same_record")
        .when(later, "same_query_id").otherwise(F.col("reason")),
    }).drop("rank", "same")


def repeated_events(events: DataFrame, published: DataFrame, reach: int) -> DataFrame:
    """The (key, arrival_date) of events that an earlier arrival day has accepted already.

    `events` are the firsts of their day with key, arrival_date, first_day and bot_rule, `published` the
    accepted (key, arrival_date) of earlier days, `reach` the number of arrival days over which
    two copies can lie apart. Days are gone
    through in order: a copy counts only if no accepted one lies within reach before it.
    """
    known = published.select("key").distinct().withColumn("published", F.lit(True))
    marked = events.join(known, "key", "left")
    twice = marked.where((F.col("first_day") < F.col("arrival_date")) | F.col("published")).select("key").distinct()
    own = events.join(twice, "key", "left_semi").select(
        "key", F.unix_date("arrival_date").alias("day"), F.lit(False).alias("given"), F.col("bot_rule").isNull().alias("sound")
    )
    earlier = published.join(twice, "key", "left_semi").select(
        "key", F.unix_date("arrival_date").alias("day"), F.lit(True).alias("given"), F.lit(True).alias("sound")
    )
    seen = F.sort_array(F.collect_set(F.struct("day", "given", "sound"))).alias("days")
    days = own.unionByName(earlier).groupBy("key").agg(seen)
    accepted = days.withColumn("accepted", _accepted_days(F.col("days"), reach))
    repeats = F.filter("days", lambda d: ~d["given"] & F.exists("accepted", lambda a: (a < d["day"]) & (d["day"] - a <= reach)))
    repeated = accepted.select("key", F.explode(repeats).alias("d"))
    return repeated.select("key", F.date_from_unix_date("d.day").alias("arrival_date"))


def _accepted_days(days: Column, reach: int) -> Column:
    """Which days of a key are accepted, gone through in ascending order."""
    def take(accepted: Column, d: Column) -> Column:
        near = d["day"] - F.coalesce(F.try_element_at(accepted, F.lit(-1)), F.lit(-(10**6))) <= reach
        return F.when(d["given"] | (d["sound"] & ~near), F.concat(accepted, F.array(d["day"]))).otherwise(accepted)

    return F.aggregate(days, F.array().cast("array<int>"), take)
