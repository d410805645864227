"""What the bot rules find of the simulated bots, and whom else: by behaviour, with and without a telling user agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.ingest.bots import find_bots
from jobs.ingest.deliveries import find_deliveries
from jobs.ingest.judge import documents, firsts
from jobs.ingest.lines import read_lines
from jobs.ingest.merge import merge_documents
from jobs.ingest.scratch import keep
from jobs.ingest.staging import stage

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame

    from jobs.runtime.config import Config

HASH_KEY = b"a key for figures that name nobody"
CLIENT = ("arrival_date", "identity")
STRAGGLERS = 2
"""Requests of a client day at most: what came late of another day, too little to judge anybody by."""


def bot_figures(spark: Any, config: Config, actors: DataFrame, scratch: Path) -> dict[str, Any]:
    """Precision and recall of the bot rules over the raw feed, with the steps of ingest itself.

    Args:
        spark: The session.
        config: Names the raw feed and the rules.
        actors: (query_id, actor) of every simulated request.
        scratch: Where the staged records may lie.
    """
    raw = Path(config.paths.raw).absolute()
    days = sorted(folder.name.removeprefix("dt=") for folder in raw.glob("dt=*"))
    found = find_deliveries(raw, days[-1], days[:-1], config.ingest.files)
    lines = read_lines(spark, [file for delivery in found for file in delivery.files])
    records = keep(stage(lines, config.ingest, HASH_KEY), scratch / "records", ["kind"])
    requests = keep(merge_documents(documents(records)), scratch / "requests").where("disposition is null")
    events = firsts(records)
    bots = find_bots(requests, events, config.ingest.bots)
    return judged(client_days(requests, events, bots, actors).toPandas())


def client_days(requests: DataFrame, events: DataFrame, bots: DataFrame, actors: DataFrame) -> DataFrame:
    """identity, requests, events, actor, telling, rules of every arrival day on which a client sent anything sound."""
    asked = requests.where("identity is not null").join(actors, "query_id").groupBy(*CLIENT).agg(
        F.count("*").alias("requests"), F.max("agent").alias("agent")
    )
    acted = events.where("identity is not null").groupBy(*CLIENT).agg(
        F.count("*").alias("events"), F.max("agent").alias("event_agent")
    )
    who = requests.join(actors, "query_id").groupBy("identity").agg(F.max("actor").alias("actor"))
    seen = asked.join(acted, list(CLIENT), "full").join(who, "identity").join(bots, list(CLIENT), "left")
    return seen.select(
        "identity", F.coalesce("requests", F.lit(0)).alias("requests"), F.coalesce("events", F.lit(0)).alias("events"),
        "actor", (F.coalesce("agent", F.lit(False)) | F.coalesce("event_agent", F.lit(False))).alias("telling"),
        F.coalesce(F.element_at("rules", 1), F.lit("")).alias("rule"),
    )


def judged(days: pd.DataFrame) -> dict[str, Any]:
    """The figures, from one row a client day. Shares of requests weigh a client day by what it asked."""
    bot, flagged = days["actor"] != "human", days["rule"] != ""
    bots, people = days[bot], days[~bot]
    hidden = bots[~bots["telling"]]
    missed = bots[(bots["rule"] == "") & (bots["requests"] > STRAGGLERS)]
    return {
        "precision": of_requests(days[flagged], bot[flagged]), "recall": of_requests(bots, bots["rule"] != ""),
        "client_days": {
            "bots": len(bots), "flagged": int(flagged.sum()), "people_flagged": int((flagged & ~bot).sum()),
            "missed": len(bots) - int((flagged & bot).sum()), "missed_over_2_requests": len(missed),
        },
        "recall_hidden": of_requests(hidden, hidden["rule"] != ""),
        "by_behaviour": {
            f"{actor}, {'telling' if telling else 'hidden'}": {
                "client_days": len(part), "requests": int(part["requests"].sum()),
                "recall": of_requests(part, part["rule"] != ""), "rules": part["rule"].value_counts().to_dict(),
            }
            for (actor, telling), part in bots.groupby(["actor", "telling"])
        },
        "missed": missed[["actor", "requests", "events"]].to_dict("records"),
        "people_flagged": people[people["rule"] != ""][["rule", "requests", "events"]].to_dict("records"),
        "volume": {
            "people": quantiles(people, "0.5", "0.99", "0.999", "1"), "bots": quantiles(bots, "0.1", "0.5", "0.9", "1"),
            "bot_days_below_the_busiest_person": int((bots["requests"] <= people["requests"].max()).sum()),
            "telling_share_of_bots": round(float(bots.groupby("identity")["telling"].max().mean()), 3),
        },
    }


def quantiles(days: pd.DataFrame, *at: str) -> dict[str, int]:
    """Requests of a client day at some quantiles."""
    return {q: round(days["requests"].quantile(float(q))) for q in at}


def of_requests(days: pd.DataFrame, where: pd.Series[bool]) -> float | None:
    """Share of the requests of `days` that fall on the days in `where`."""
    total = int(days["requests"].sum())
    return round(int(days["requests"][where].sum()) / total, 4) if total else None
