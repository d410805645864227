"""Visits of people: sessions of heavy-tailed users, with reformulations and second pages, as search requests.

Every visitor, person or bot, is described by the columns of `VISIT_COLUMNS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.draws import Draws
from jobs.market.timeline import Timeline
from jobs.market.words import words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from jobs.market.config import MarketSettings

VISIT_COLUMNS = (
    "actor", "query_id", "result_key", "session_id", "client_id", "user_id", "user_agent", "sees", "legacy", "ts",
    "intent_id", "variant", "page", "sort", "brand_only",
)
TASKS = (0.76, 0.18)  # one or two intents in a session; the rest has three
ATTEMPTS = (0.80, 0.16)  # one or two ways to put it; the rest tries three
SECOND_PAGE = 0.1
USER_ZIPF = 0.6
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/143.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 Version/18.2 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/143.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)


def identifier(prefix: str, *keys: Column) -> Column:
    """A name made of 128 hashed bits, as real logs have them."""
    return F.concat(F.lit(f"{prefix}-"), F.md5(F.concat_ws(":", *[key.cast("string") for key in keys])))


def requests_per_session() -> float:
    """Expected number of requests of a session."""
    def mean(shares: tuple[float, ...]) -> float:
        return sum(n * share for n, share in enumerate(shares, 1)) + (1 - sum(shares)) * (len(shares) + 1)

    return mean(TASKS) * mean(ATTEMPTS) * (1 + SECOND_PAGE)


def visits_of_people(spark: SparkSession, settings: MarketSettings, draws: Draws, timeline: Timeline) -> DataFrame:
    """Every request of a person; `settings.requests` of them are expected."""
    sessions = max(1, round(settings.requests / requests_per_session()))
    session, task, attempt = F.col("session"), F.col("task"), F.col("attempt")
    steps = (
        spark.range(sessions).withColumnRenamed("id", "session")
        .withColumn("task", F.explode(F.sequence(F.lit(0), draws.category("tasks", TASKS, session))))
        .withColumn("attempt", F.explode(F.sequence(F.lit(0), draws.category("attempts", ATTEMPTS, session, task))))
        .withColumn("second", draws.chance("second page", SECOND_PAGE, session, task, attempt).cast("int"))
        .withColumn("page", F.explode(F.sequence(F.lit(1), F.col("second") + 1)))
    )
    user = draws.zipf("user", settings.user_count, USER_ZIPF, session)
    device = draws.chance("second device", 0.2, session).cast("int")
    known = steps.withColumns({
        "user": user, "device": device,
        "intent_id": draws.zipf("intent", settings.intent_count, settings.intent_zipf, session, task),
    })
    return known.withColumns(_request(settings, draws, timeline)).select(*VISIT_COLUMNS)


def _request(settings: MarketSettings, draws: Draws, timeline: Timeline) -> dict[str, Column]:
    """The columns of one request of a person; a second page keeps text and order of the first."""
    session, task, attempt, page = (F.col(c) for c in ("session", "task", "attempt", "page"))
    asked, client = (session, task, attempt), (F.col("user"), F.col("device"))
    seed = F.lit(draws.seed)
    sort = draws.category("sort", (0.94, 0.04), *asked)
    return {
        "actor": F.lit("human"),
        "query_id": identifier("q", seed, *asked, page),
        "result_key": draws.hashed("result", *asked),
        "session_id": identifier("s", seed, session),
        "client_id": identifier("c", seed, *client),
        "user_id": F.when(
            draws.chance("signed in", 0.6, F.col("user")), F.concat(F.lit("u"), F.col("user").cast("string"))
        ),
        "user_agent": draws.pick("browser", words(BROWSERS, "|"), *client),
        "sees": draws.chance("viewport", settings.viewport_clients, *client),
        "legacy": draws.chance("legacy", settings.legacy_clients, *client),
        "ts": _time(draws, timeline),
        "variant": F.least(draws.exponential("variant", 1.6, *asked), F.lit(settings.texts - 1.0)).cast("int"),
        "sort": F.get(F.lit(["relevance", "price_asc", "price_desc"]), sort),
        "brand_only": draws.chance("brand filter", 0.1, *asked),
    }


def _time(draws: Draws, timeline: Timeline) -> Column:
    """A session begins at some time of some day, most often at two in the afternoon; its steps follow in order."""
    session, task, attempt, page = (F.col(c) for c in ("session", "task", "attempt", "page"))
    day = draws.integer("day", timeline.days, session)
    clock = F.pmod((draws.normal("clock", session) * 5 + 14) * timeline.HOUR, F.lit(float(timeline.DAY))).cast("bigint")
    step = task * 6 * timeline.MINUTE + attempt * 110 * timeline.SECOND + (page - 1) * 45 * timeline.SECOND
    jitter = draws.integer("pause", 30 * timeline.SECOND, session, task, attempt, page)
    return F.lit(timeline.start) + day * timeline.DAY + clock + step.cast("bigint") + jitter
