"""A synthetic shop's log of any size, as frames of the datasets `requests` and `events`.

Made for measuring: every value is a pure function of (seed, request number, name) through xxhash64, computed by
Spark where it is used, so that ten million events take seconds and no run differs from another. It has what the rules
of labelling speak of: sessions, few frequent and many rare queries, hit lists of 20 to 36 items of which the viewport
shows the upper part, clicks with and without query id, carts, orders up to five days later, removals, refunds,
lists that the user sorted or filtered, second documents of a request and second copies of an event that arrive a
day later. For labels that mean something there is the market simulator (docs/MARKET.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from schemas import EVENTS, REQUESTS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

FIRST, DAYS = date(2026, 1, 1), 8
LAST = FIRST + timedelta(days=DAYS - 1)
EVENTS_PER_REQUEST, SKEWED_EVENTS_PER_REQUEST = 19.3, 18.6
"""As measured; the size asked for is met within one in a hundred."""
SECOND, DAY = 1_000_000, 86_400_000_000
SHORTEST, LONGEST = 20, 36
"""Items of a hit list."""


@dataclass(frozen=True)
class ShopLog:
    """Size and shape of one log.

    Skewed: three requests in ten have the same query, every list begins with the same item, which a fifth of the
    viewport events show, and one client in one endless session makes a tenth of the requests.
    """

    events: int
    skewed: bool = False
    seed: int = 7
    shortest: int = SHORTEST
    longest: int = LONGEST

    @property
    def count(self) -> int:
        """Requests."""
        return max(1, round(self.events / (SKEWED_EVENTS_PER_REQUEST if self.skewed else EVENTS_PER_REQUEST)))

    def uniform(self, name: str, *keys: Column | str) -> Column:
        """A double in [0, 1) for the name and keys."""
        mixed = F.xxhash64(F.lit(self.seed), F.lit(name), *keys)
        return F.shiftrightunsigned(mixed, 11) * F.lit(2.0**-53)

    def below(self, limit: int | Column, name: str, *keys: Column | str, power: float = 1.0) -> Column:
        """An integer in [0, limit); a power above 1 makes small ones frequent."""
        value = self.uniform(name, *keys)
        return F.floor((F.pow(value, F.lit(power)) if power != 1 else value) * limit)

    def item(self, query: Column, page: Column, rank: Column) -> Column:
        """Object id at a rank (from 1) of a query's result page."""
        items = max(1_000, self.events // 50)
        number = self.below(items, "item", query, page, rank, power=2.2)
        return F.concat(F.lit("p"), (F.when(rank == 1, 0).otherwise(number) if self.skewed else number).cast("string"))


def searches(spark: SparkSession, log: ShopLog) -> DataFrame:
    """One row per request: who, when, what, and how far the user looked; nothing is stored."""
    number, session = F.col("id"), F.col("session")
    heavy = log.uniform("heavy", session) < 0.1 if log.skewed else F.lit(False)
    cut = 1 + log.below(7, "cut", F.floor(number / 8))
    rows = spark.range(0, log.count, 1, max(2, min(32, log.count // 20_000)))
    sessions = rows.withColumn("session", 2 * F.floor(number / 8) + (number % 8 >= cut).cast("int"))
    query = log.below(max(100, log.count // 8), "query", number, power=3.0)
    start = log.below(DAYS * 86_400 - 3_600, "start", session)
    known = sessions.select(
        "id", "session", heavy.alias("heavy"),
        F.when(log.uniform("head", number) < 0.3, 0).otherwise(query).alias("query") if log.skewed else query.alias("query"),
        log.below(log.count // 10 + 1, "client", session, power=1.3).alias("client"),
        F.when(log.uniform("page", number) < 0.15, 2).otherwise(1).alias("page"),
        (start * SECOND + (number % 8) * 300 * SECOND + log.below(200 * SECOND, "pause", number)).alias("at"),
    )
    more = log.below(log.longest - log.shortest + 1, "items", "query", "page")
    long = known.withColumn("items", (log.shortest + more).cast("int"))
    reach = F.greatest(F.lit(4), F.floor(F.col("items") * (0.3 + 0.7 * log.uniform("seen", number))))
    return long.withColumns({
        "seen": F.least("items", reach).cast("int"),
        "query_id": F.concat(F.lower(F.hex(F.xxhash64(F.lit(log.seed), number))), F.lit("-"), number.cast("string")),
    })


def numbered(query: Column) -> Column:
    """A text for a query's number."""
    return F.concat_ws(" ", F.lit("query"), query.cast("string"))


def sorts_by_price(log: ShopLog) -> Column:
    """Whether the user of a row of `searches` sorted the list."""
    return log.uniform("choice", "id") < 0.06


def filters_brand(log: ShopLog) -> Column:
    """Whether the user of a row of `searches` filtered the list."""
    return log.uniform("choice", "id") > 0.9


def requests_of(spark: SparkSession, log: ShopLog, text_of: Callable[[Column], Column] = numbered) -> DataFrame:
    """Rows of `requests` with their arrival day; one request in thirty has its hit list in a second document."""
    ranks = F.sequence(F.lit(1), "items")
    hits = F.array_distinct(F.transform(ranks, lambda rank: log.item(F.col("query"), F.col("page"), rank)))
    halved = F.when((log.uniform("halved", "id") < 1 / 30) & (F.col("at") < (DAYS - 1) * DAY), F.array(F.lit(0), F.lit(1)))
    parts = searches(spark, log).withColumn("part", F.explode(F.coalesce(halved, F.array(F.lit(2)))))
    text = text_of(F.col("query"))
    second = F.col("part") == 1
    values = {
        **people(log), "ts": moment(F.col("at") + F.when(second, 2 * SECOND).otherwise(0)),
        "query_text": text, "query_norm": text, "locale": F.lit("en"), "page": F.col("page"),
        "page_size": F.when(log.uniform("choice", "id") < 0.5, F.lit(log.longest)),
        "filters": F.when(filters_brand(log), F.array(F.lit("brand=acme"))),
        "sort": F.when(sorts_by_price(log), "price_asc").when(log.uniform("choice", "id") < 0.1, "relevance"),
        "hit_ids": F.when(F.col("part") != 0, hits), "sources": F.lit(1),
    }
    return finished(parts, REQUESTS, values, F.when(second, 1).otherwise(0))


def people(log: ShopLog) -> dict[str, Column]:
    """query_id, session, client and, for three in ten clients, user of a row of `searches`."""
    heavy, client = F.col("heavy"), F.col("client").cast("string")
    signed_in = ~heavy & (log.uniform("user", "client") < 0.3)
    return {
        "query_id": F.col("query_id"),
        "session_id": F.concat(F.lit("s"), F.when(heavy, "heavy").otherwise(F.col("session").cast("string"))),
        "client_id": F.concat(F.lit("c"), F.when(heavy, "heavy").otherwise(client)),
        "user_key": F.when(signed_in, F.sha2(client, 256)), "key_id": F.when(signed_in, F.lit("k1")),
    }


def events_of(spark: SparkSession, log: ShopLog) -> DataFrame:
    """Rows of `events` with their arrival day."""
    found = searches(spark, log)
    return viewport(found, log).unionByName(conversions(found, log))


def viewport(found: DataFrame, log: ShopLog) -> DataFrame:
    """What the viewport showed, from the top down to `seen`; in a skewed log every fifth event shows the first item again."""
    steps = found.withColumn("step", F.explode(F.sequence(F.lit(1), "seen")))
    rank = F.when(log.uniform("again", "id", "step") < 0.2, 1).otherwise(F.col("step")) if log.skewed else F.col("step")
    ranked = steps.withColumn("rank", rank)
    values = {
        **people(log), "event_id": event_id("v", "step"), "action": F.lit("impression"),
        "ts": moment(F.col("at") + SECOND + F.col("step") * 700_000),
        "object_id": log.item(F.col("query"), F.col("page"), F.col("rank")), "position": F.col("rank"),
    }
    return finished(ranked, EVENTS, values, late(log, "step"))


def conversions(found: DataFrame, log: ShopLog) -> DataFrame:
    """Clicks, three in four near the top, and what follows from them; one in seven clicks has lost its query id."""
    clicked = F.floor(3 * F.pow(log.uniform("clicks", "id"), F.lit(1.5)))
    clicks = found.withColumn("step", F.explode(F.sequence(F.lit(1), clicked))).where("step <= 3 and step >= 1")
    placed = clicks.withColumn("rank", (1 + log.below(F.col("seen"), "rank", "id", "step", power=1.8)).cast("int"))
    draw = log.uniform("course", "id", "step")
    at = F.col("at") + 5 * SECOND + log.below(120 * SECOND, "click", "id", "step")
    order_at = at + 600 * SECOND + log.below(5 * DAY, "order", "id", "step", power=2.0)
    lost = log.uniform("lost", "id", "step")
    steps = [
        ("click", F.lit(True), at, lost > 0.15), ("view", draw < 0.3, at + SECOND, F.lit(False)),
        ("add_to_cart", draw < 0.25, at + 60 * SECOND, lost > 0.5),
        ("remove_from_cart", (draw < 0.03), at + 120 * SECOND, F.lit(False)),
        ("purchase", (draw > 0.02) & (draw < 0.12), order_at, F.lit(False)),
        ("refund", (draw > 0.02) & (draw < 0.03), order_at + DAY, F.lit(False)),
    ]
    several = [
        F.when(happens, F.struct(F.lit(action).alias("action"), when.alias("when"), named.alias("named")))
        for action, happens, when, named in steps
    ]
    happened = placed.withColumn("e", F.explode(F.array(*several))).where("e is not null")
    return _copied(happened, log)


def _copied(happened: DataFrame, log: ShopLog) -> DataFrame:
    """The events, and of every hundredth a copy that arrives a day later, half of them by a clock that is ahead."""
    who, of_order = people(log), F.col("e.action").isin("purchase", "refund")
    again = F.when(log.uniform("copy", "id", "step", "e.action") < 0.01, F.array(F.lit(0), F.lit(1)))
    copies = happened.withColumn("copy", F.explode(F.coalesce(again, F.array(F.lit(0)))))
    ahead = F.when((F.col("copy") == 1) & (F.col("id") % 2 == 0), 7 * SECOND).otherwise(0)
    values = {
        **who, "query_id": F.when(F.col("e.named"), who["query_id"]), "event_id": event_id("e", "step", "e.action"),
        "action": F.col("e.action"), "ts": moment(F.col("e.when") + ahead),
        "object_id": log.item(F.col("query"), F.col("page"), F.col("rank")),
        "position": F.when(F.col("e.action") == "click", F.col("rank")), "quantity": F.when(of_order, F.lit(1)),
        "price": F.when(of_order, F.lit(9.5)),
        "order_id": F.when(of_order & (F.col("id") % 4 > 0), F.concat(F.lit("o"), F.col("session").cast("string"))),
    }
    return finished(copies, EVENTS, values, late(log, "step", "e.action") + F.col("copy"))


def event_id(kind: str, *keys: str) -> Column:
    """An id that no other event has."""
    parts = [F.col(key).cast("string") for key in keys]
    return F.concat_ws("-", F.lit(kind), F.lower(F.hex(F.xxhash64(F.lit(kind), "id", *keys))), "query_id", *parts)


def late(log: ShopLog, *keys: str) -> Column:
    """Days from an event to its arrival: one in fifty comes a day late."""
    return (log.uniform("late", "id", *keys) < 0.02).cast("int")


def moment(micros: Column) -> Column:
    """A timestamp from microseconds since the log began."""
    begin = (FIRST - date(1970, 1, 1)).days * DAY
    return F.timestamp_micros((micros + begin).cast("bigint"))


def finished(frame: DataFrame, dataset: object, values: dict[str, Column], delay: Column) -> DataFrame:
    """The dataset's columns and `arrived`; what arrives after the last day is not there."""
    dated = {**values, "event_date": F.to_date(values["ts"])}
    columns = [
        dated.get(column.name, F.lit(None)).cast(column.type).alias(column.name) for column in dataset.columns  # type: ignore[attr-defined]
    ]
    rows = frame.select(*columns, F.date_add(dated["event_date"], delay.cast("int")).alias("arrived"))
    return rows.where(F.col("arrived") <= F.lit(LAST))
