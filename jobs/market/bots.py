"""Four kinds of bots. Half of them hide behind a browser's user agent; their volume overlaps with busy people's."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.draws import Draws
from jobs.market.timeline import Timeline
from jobs.market.visits import BROWSERS, VISIT_COLUMNS, identifier
from jobs.market.words import words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from jobs.market.config import MarketSettings

ACTIVE_DAYS = 0.4  # share of days on which a bot runs
LEAST, MOST = 15, 240  # requests of one bot on an active day: log-uniform, as many as a busy person up to a robot
MEAN_PER_DAY = 81.2  # (MOST - LEAST) / ln(MOST / LEAST)
AGENTS = {
    "scraper": "Scrapy/2.11 (+https://scrapy.org)",
    "price_watcher": "python-requests/2.32",
    "click_farm": "HeadlessChrome/143.0",
    "monitoring": "Pingdom.com_bot_version_1.4",
}


def visits_of_bots(spark: SparkSession, settings: MarketSettings, draws: Draws, timeline: Timeline) -> DataFrame | None:
    """Every request of a bot, with the columns of people's; None where all rates are 0."""
    rates = settings.bots.model_dump()
    kinds = [_visits(spark, kind, rates[kind], settings, draws, timeline) for kind in AGENTS if rates[kind] > 0]
    return reduce(lambda a, b: a.unionByName(b), kinds) if kinds else None


def _visits(
    spark: SparkSession, kind: str, rate: float, settings: MarketSettings, draws: Draws, timeline: Timeline
) -> DataFrame:
    bots = max(1, round(rate * settings.requests / (MEAN_PER_DAY * ACTIVE_DAYS * timeline.days)))
    bot, day, n = F.col("bot"), F.col("day"), F.col("n")
    surely = day == draws.integer(f"{kind} sure", timeline.days, bot)
    active = surely | draws.chance(f"{kind} active", ACTIVE_DAYS, bot, day)
    volume = F.pow(F.lit(MOST / LEAST), draws.uniform(f"{kind} volume", bot, day)) * LEAST
    steps = (
        spark.range(bots).withColumnRenamed("id", "bot")
        .withColumn("day", F.explode(F.sequence(F.lit(0), F.lit(timeline.days - 1))))
        .where(active).withColumn("volume", volume.cast("int"))
        .withColumn("n", F.explode(F.sequence(F.lit(0), F.col("volume") - 1)))
    )
    return steps.withColumns({
        "actor": F.lit(kind), **_identity(kind, draws, n),
        "ts": F.lit(timeline.start) + day.cast("bigint") * timeline.DAY + _clock(kind, draws),
        "intent_id": _intent(kind, settings, draws),
        "page": F.pmod(n, F.lit(2)) + 1 if kind == "scraper" else F.lit(1),
        "variant": F.lit(0), "brand_only": F.lit(False),
        "sort": F.lit("price_asc" if kind == "price_watcher" else "relevance"),
    }).select(*VISIT_COLUMNS)


def _identity(kind: str, draws: Draws, n: Column) -> dict[str, Column]:
    """One client a bot; the click farm opens a session for every few requests, the others one a day."""
    bot, day, seed = F.col("bot"), F.col("day"), F.lit(f"{draws.seed}:{kind}")
    browser = draws.pick(f"{kind} browser", words(BROWSERS, "|"), bot)
    part = F.floor(n / 4) if kind == "click_farm" else F.lit(0)
    return {
        "query_id": identifier("q", seed, bot, day, n), "result_key": draws.hashed(f"{kind} result", bot, day, n),
        "session_id": identifier("s", seed, bot, day, part), "client_id": identifier("c", seed, bot),
        "user_id": F.lit(None).cast("string"),
        "user_agent": F.when(F.pmod(bot, F.lit(2)) == 0, browser).otherwise(F.lit(AGENTS[kind])),
        "sees": F.lit(False), "legacy": F.lit(False),
    }


def _clock(kind: str, draws: Draws) -> Column:
    """Milliseconds into the day of request n: evenly all day, or in a burst."""
    bot, day, n = F.col("bot"), F.col("day"), F.col("n")
    if kind in ("price_watcher", "monitoring"):
        return F.floor(n.cast("bigint") * Timeline.DAY / F.col("volume"))
    pace = 9 * Timeline.SECOND if kind == "scraper" else 25 * Timeline.SECOND
    begin = draws.integer(f"{kind} begin", 16 * Timeline.HOUR, bot, day)
    return begin + n.cast("bigint") * pace + draws.integer(f"{kind} pause", 4 * Timeline.SECOND, bot, day, n)


def _intent(kind: str, settings: MarketSettings, draws: Draws) -> Column:
    """Which intent request n asks for: the scraper walks through all, the others return to a few."""
    bot, n, count = F.col("bot"), F.col("n"), settings.intent_count
    if kind == "scraper":
        walk = draws.integer("scraper start", count, bot, F.col("day")) + F.floor(n / 2)
        return F.pmod(walk, F.lit(count).cast("bigint"))
    few = {"price_watcher": 5, "click_farm": 3, "monitoring": 1}[kind]
    return draws.integer(f"{kind} intent", count, bot, F.pmod(n, F.lit(few)))
