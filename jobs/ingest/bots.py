"""Bots in two steps: what the user agent admits, then what one client does within one arrival day.

Each rule rests on counts, never on sums of fractions or on sketches, so that the verdict
does not depend on how the rows were partitioned.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import BotSettings

AGENT_WORDS = (
    "bot", "crawl", "spider", "slurp", "scrapy", "scraper", "curl/", "wget", "python-requests", "python-urllib", "aiohttp",
    "httpx", "libwww", "java/", "go-http-client", "apache-httpclient", "headless", "phantomjs", "selenium", "puppeteer",
    "playwright", "pingdom", "uptime", "monitor", "statuscake", "lighthouse", "facebookexternalhit", "feedfetcher",
)
INNOCENT = "cubot"  # a brand of telephones
MINUTE_US = 60_000_000
CLIENT = ("arrival_date", "identity")
RULES = ("agent", "volume", "rate", "regular", "no_clicks", "breadth", "repetition", "click_rate")


def plain_agent(user_agent: Column) -> Column:
    """A user agent as `admits_bot` wants it; a column of its own, lest Spark computes it once per word."""
    return F.replace(F.lower(user_agent), F.lit(INNOCENT), F.lit(""))


def admits_bot(agent: Column) -> Column:
    """Whether a plain user agent says that it is no person's browser; false where there is none.

    Plain words instead of one regular expression: on every line of a log that is ten times as fast.
    """
    found = reduce(lambda a, b: a | b, [agent.contains(word) for word in AGENT_WORDS])
    return F.coalesce(found, F.lit(False))


def find_bots(requests: DataFrame, events: DataFrame, settings: BotSettings) -> DataFrame:
    """Flagged clients: arrival_date, identity, rules (all that hold, in the order of RULES; rate and regular are not
    asked of clients with more requests than rule volume allows).

    `requests` (merged) and `events` (firsts of their day) have arrival_date, identity, ts, query_id
    and agent; records that name nobody are left out, and judged by their own agent alone.
    """
    searched = _searches(requests.where("identity is not null"), settings)
    acted = _actions(events.where("identity is not null"))
    seen = searched.join(acted, list(CLIENT), "full").na.fill(0).na.fill(False)
    held = [F.when(condition, F.lit(name)) for name, condition in _rules(settings).items()]
    return seen.select(*CLIENT, F.array_compact(F.array(*held)).alias("rules")).where(F.size("rules") > 0)


def with_bot_rule(records: DataFrame, bots: DataFrame) -> DataFrame:
    """Adds `bot_rule`, the first rule that flags who made the record; null for everybody else.

    Needs arrival_date, identity and agent.
    """
    flagged = bots.select(*CLIENT, F.element_at("rules", 1).alias("rule"))
    alone = F.when(F.col("identity").isNull() & F.col("agent"), "agent")
    joined = records.join(flagged, list(CLIENT), "left")
    return joined.withColumn("bot_rule", F.coalesce("rule", alone)).drop("rule")


def _rules(settings: BotSettings) -> dict[str, Column]:
    requests, clicked = F.col("requests"), F.col("clicked")
    rules = {
        "agent": F.col("search_agent") | F.col("event_agent"),
        "volume": (requests > settings.max_requests_per_day) | (F.col("events") > settings.max_events_per_day),
        "rate": F.col("rushed"),
        "regular": (F.col("steps") >= settings.steady_steps) & (F.col("steady") >= settings.steady_share * F.col("steps")),
        "no_clicks": (requests >= settings.idle_requests) & (clicked <= settings.idle_share * requests),
        "breadth": (F.col("texts") >= settings.breadth_queries) & (clicked <= settings.breadth_share * requests),
        "repetition": (requests >= settings.repeat_requests) & (F.col("texts") <= settings.repeat_share * requests),
        "click_rate": (requests >= settings.eager_requests) & (clicked >= settings.eager_share * requests),
    }
    if tuple(rules) != RULES:
        raise ValueError(f"bot rules = {tuple(rules)}; expected {RULES}")
    return rules


def _searches(requests: DataFrame, settings: BotSettings) -> DataFrame:
    """Per client: requests, distinct texts, its agent, and the pace of those that rule volume has not settled already.

    Counts come first and need no order: a client of a million requests is one row before any window opens.
    """
    timed = requests.select(
        *CLIENT, "query_id", "agent", "ts", F.unix_micros("ts").alias("us"),
        F.xxhash64(F.lower(F.trim("query_text"))).alias("text")
    )
    by_text = timed.groupBy(*CLIENT, "text").agg(F.count(F.lit(1)).alias("n"), F.max("agent").alias("agent"))
    counted = by_text.groupBy(*CLIENT).agg(
        F.sum("n").alias("requests"), F.count(F.lit(1)).alias("texts"), F.max("agent").alias("search_agent")
    )
    settled = counted.where(F.col("requests") > settings.max_requests_per_day).select(*CLIENT)
    return counted.join(_paces(timed.join(settled, list(CLIENT), "left_anti"), settings), list(CLIENT), "left")


def _paces(timed: DataFrame, settings: BotSettings) -> DataFrame:
    """Per client, of at most `max_requests_per_day` requests: steady pauses among the steps, and whether it ever rushed."""
    in_order = Window.partitionBy(*CLIENT).orderBy("ts", "query_id")
    paced = timed.withColumns({
        "pause": F.col("us") - F.lag("us").over(in_order),
        "rushed": F.col("us") - F.lag("us", settings.max_requests_per_minute).over(in_order) < MINUTE_US,
    }).withColumn("before", F.lag("pause").over(in_order))
    alike = F.greatest("pause", "before") <= F.least("pause", "before") * settings.steady_ratio
    step = F.col("before").isNotNull()
    return paced.groupBy(*CLIENT).agg(
        F.count_if(step).alias("steps"), F.count_if(step & alike).alias("steady"),
        F.max(F.coalesce("rushed", F.lit(False))).alias("rushed"),
    )


def _actions(events: DataFrame) -> DataFrame:
    """Per client: events, requests with a click, cart or purchase, its agent."""
    by_request = events.groupBy(*CLIENT, "query_id").agg(
        F.count(F.lit(1)).alias("events"), F.max("agent").alias("agent"),
        F.max(F.col("action").isin("click", "add_to_cart", "purchase").cast("int")).alias("clicked"),
    )
    return by_request.groupBy(*CLIENT).agg(
        F.sum("events").alias("events"), F.sum("clicked").alias("clicked"), F.max("agent").alias("event_agent")
    )
