"""Bots: each rule alone flags its behaviour, and busy people stay."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from random import Random

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.ingest.bots import RULES, admits_bot, find_bots, plain_agent, with_bot_rule
from jobs.runtime.sections import BotSettings

DAY = date(2026, 1, 1)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=timezone.utc)
REQUEST = "arrival_date date, identity string, query_id string, ts timestamp, query_text string, agent boolean"
EVENT = "arrival_date date, identity string, query_id string, action string, agent boolean"

Searches = list[tuple[float, str]]
"""(seconds after midnight, text) of each request."""


def flagged(spark: SparkSession, clients: dict[str, tuple[Searches, int]], settings: BotSettings | None = None,
            agents: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """The rules that hold for each client; the number says how many of its first requests were clicked."""
    requests = [(DAY, who, f"{who}-{n}", MIDNIGHT + timedelta(seconds=s), text, who in agents)
                for who, (searches, _) in clients.items() for n, (s, text) in enumerate(searches)]
    events = [(DAY, who, f"{who}-{n}", "click", False) for who, (_, clicked) in clients.items() for n in range(clicked)]
    found = find_bots(spark.createDataFrame(requests, REQUEST), spark.createDataFrame(events, EVENT), settings or BotSettings())
    return {r["identity"]: list(r["rules"]) for r in found.collect()}


def person(seed: int, requests: int) -> Searches:
    """Sessions through the day: pauses of seconds to hours, mostly new texts."""
    random, at, found = Random(seed), 0.0, []
    for n in range(requests):
        at += random.expovariate(1 / 40) + 3 if random.random() < 0.6 else random.expovariate(1 / 900)
        found.append((at, f"text {n if random.random() < 0.8 else n // 2}"))
    return found


def test_the_pace_of_a_client_is_not_asked_for_once_its_volume_tells(spark: SparkSession) -> None:
    # One request a second, of one text: both rush, and only of the smaller one more than its count is known.
    clients = {"small": ([(float(n), "t") for n in range(80)], 40), "large": ([(float(n), "t") for n in range(81)], 40)}
    found = flagged(spark, clients, BotSettings(max_requests_per_day=80))
    assert found == {"small": ["rate", "regular", "repetition"], "large": ["volume", "repetition"]}


def test_each_behaviour_is_flagged_by_its_rule_alone(spark: SparkSession) -> None:
    odd = [n * n * 7.0 for n in range(400)]  # pauses that grow, so that no other rule is near
    clients = {
        "regular": ([(n * 9.0, f"t{n}") for n in range(12)], 4),
        "rate": ([(1000 + n * 2.0 + (n % 3) * 0.9, f"t{n}") for n in range(9)] + [(9000.0, "x"), (16000.0, "y")], 4),
        "no_clicks": ([(s, f"t{n}") for n, s in enumerate(_irregular(41))], 0),
        "repetition": ([(s, f"t{n % 4}") for n, s in enumerate(_irregular(31))], 12),
        "click_rate": ([(s, f"t{n}") for n, s in enumerate(_irregular(21))], 21),
        "breadth": ([(s, f"t{n}") for n, s in enumerate(_irregular(60))], 5),
        "volume": ([(s, f"t{n}") for n, s in enumerate(_irregular(90))], 40),
        "agent": ([(odd[1], "usb")], 1),
    }
    settings = BotSettings(max_requests_per_minute=8, breadth_queries=50, max_requests_per_day=80)
    found = flagged(spark, clients, settings, frozenset({"agent"}))
    assert found == {name: [name] for name in clients}
    assert set(clients) == set(RULES)


def _irregular(n: int) -> list[float]:
    """Moments whose pauses alternate between a minute and ten, so that no pause is like the one before."""
    moments, at = [], 0.0
    for i in range(n):
        at += (60 if i % 2 else 600) + i
        moments.append(at)
    return moments


def test_busy_people_are_no_bots(spark: SparkSession) -> None:
    people = {f"p{seed}": (person(seed, 20 + seed), (20 + seed) // 3) for seed in range(80)}
    assert flagged(spark, people) == {}


def test_a_late_record_among_steady_ones_does_not_hide_them(spark: SparkSession) -> None:
    steady = [(n * 60.0, "price of p1") for n in range(25) if n not in (7, 15)] + [(80_000.0, "price of p1")]
    assert "regular" in flagged(spark, {"watcher": (steady, 9)})["watcher"]


def test_records_of_nobody_are_judged_by_their_own_agent(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(DAY, None, True), (DAY, None, False), (DAY, "c", True)], "arrival_date date, identity string, agent boolean")
    bots = spark.createDataFrame([(DAY, "c", ["regular", "rate"])], "arrival_date date, identity string, rules array<string>")
    rows = with_bot_rule(frame, bots).collect()
    assert {(r["identity"], r["agent"]): r["bot_rule"] for r in rows} == {
        (None, True): "agent", (None, False): None, ("c", True): "regular"
    }


@pytest.mark.parametrize(("agent", "says"), [
    ("Mozilla/5.0 (compatible; Googlebot/2.1)", True), ("curl/8.5.0", True), ("python-requests/2.32", True),
    ("Mozilla/5.0 HeadlessChrome/143.0", True), ("Pingdom.com_bot_version_1.4", True), ("Scrapy/2.11 (+https://scrapy.org)", True),
    ("Mozilla/5.0 (Linux; Android 15; CUBOT X18) Chrome/143.0 Mobile Safari/537.36", False),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", False), (None, False),
])
def test_agents_that_say_so_are_bots_and_a_brand_of_telephones_is_not(spark: SparkSession, agent: str | None, says: bool) -> None:
    plain = spark.createDataFrame([(agent,)], "a string").select(plain_agent(F.col("a")).alias("a"))
    assert plain.select(admits_bot(F.col("a")).alias("bot")).first()["bot"] is says
