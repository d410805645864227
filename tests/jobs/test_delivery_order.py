"""However a day's records arrive, the same requests and events come of them.

Ingest decides within one arrival day, so many deliveries of the same records, one an arrival day, go through its steps
together. That labels depend on rows alone is held in tests/jobs/labels/test_oracle.py; both jobs as they run, over
reshuffled and repeated files, in the slow tests of tests/jobs/labels/test_market_oracle.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from jobs.ingest.bots import find_bots, with_bot_rule
from jobs.ingest.deliveries import find_deliveries
from jobs.ingest.judge import accepted, documents, firsts
from jobs.ingest.judge import judge_events as judged_events
from jobs.ingest.judge import judge_requests as judged_requests
from jobs.ingest.lines import read_lines
from jobs.ingest.merge import merge_documents
from jobs.ingest.staging import stage
from jobs.runtime.sections import IngestSettings
from schemas import EVENTS, REQUESTS
from tests.jobs.ingest_cases import D1, as_lines, deliver, event, query

LAYOUTS = [(1, "UTC", True), (3, "America/New_York", False), (7, "Asia/Kolkata", True)]
"""(shuffle partitions, time zone of the session, adaptive execution)"""
Rows = dict[str, list[str]]
"""Dataset -> its rows, as sorted text."""


def busy_day() -> list[str]:
    """Whatever the rules speak of: halves of requests, equal moments, no ids, a bot, bad lines."""
    found: list[dict | str] = ["{broken", '{"level": "debug"}', event("hover"), {"index": {"_index": "ubi"}}]
    for n in range(4):
        at, who = f"{D1}T1{n}:0{n}", {"client_id": f"c{n % 3}", "session_id": f"s{n % 3}"}
        found += [
            query(f"q{n}", f"Usb {n % 2} anna@example.com", f"{at}:00Z", query_response_hit_ids=None, **who),
            query(f"q{n}", None, f"{at}:00Z", client_id=None, query_attributes={"page": 1 + n % 2, "user_id": f"u{n}"}),
            query(f"q{n}", f"usb {n}", f"{at}:01Z", query_response_hit_ids=["p9"]),
            event("impression", "p1", f"{at}:10Z", f"i{n}", query_id=f"q{n}", **who),
            event("click", "p2", f"{at}:20Z", ordinal=2, query_id=f"q{n}", **who),
            event("click", "p2", f"{at}:20.700Z", ordinal=None, query_id=f"q{n}", **who),
            event("purchase", "p2", f"{at}:40Z", f"o{n}", attributes={"order_id": f"order{n}"}, **who),
            event("purchase", "p2", f"{at}:55Z", f"o{n}", attributes={"order_id": f"order{n}"}, **who),
        ]
    found += [query(f"b{n}", f"item {n}", f"{D1}T03:0{n // 6}:{n % 6}0Z", client_id="scraper") for n in range(24)]
    return as_lines(found)


LINES = busy_day()
NUMBERS = range(len(LINES))


@dataclass(frozen=True)
class Arrival:
    """One way the lines of the day can arrive."""

    order: Sequence[int]
    again: list[int]
    cuts: list[int]

    def files(self) -> list[list[str]]:
        """The lines in that order, some of them repeated elsewhere, cut into files."""
        lines = [LINES[n] for n in self.order]
        for place, n in enumerate(self.again):
            lines.insert(place * 3, LINES[n])
        bounds = [0, *sorted(self.cuts), len(lines)]
        return [lines[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)]


def arrival(seed: int) -> Arrival:
    """Any order, up to forty lines again, up to four files."""
    rng = Random(seed)
    again = [rng.choice(NUMBERS) for _ in range(rng.randrange(41))]
    return Arrival(rng.sample(NUMBERS, len(NUMBERS)), again, [rng.randrange(len(LINES)) for _ in range(rng.randrange(4))])


def ingested(spark: SparkSession, root: Path, ways: list[Arrival]) -> list[Rows]:
    """The published rows of each delivery, through real files and the steps of the job."""
    days = [(date.fromisoformat(D1) + timedelta(n)).isoformat() for n in range(len(ways))]
    for day, way in zip(days, ways, strict=True):
        for n, lines in enumerate(way.files()):
            deliver(root, day, f"ubi-{n}.json" + (".gz" if n % 2 and lines else ""), lines)
    rules = IngestSettings(late_days=366)
    found = find_deliveries(root / "raw", days[-1], days[:-1], rules.files)
    records = stage(read_lines(spark, [file for delivery in found for file in delivery.files]), rules, b"k" * 32)
    records = records.localCheckpoint()
    merged = merge_documents(documents(records))
    bots = find_bots(merged.where("disposition is null"), firsts(records), rules.bots)
    nothing = spark.createDataFrame([], "key string, arrival_date date")  # no day is earlier: they are one and the same
    requests = accepted(judged_requests(with_bot_rule(merged, bots))).selectExpr("*", "lower(query_text) as query_norm")
    events = accepted(judged_events(with_bot_rule(firsts(records), bots), nothing))
    by_day = {"requests": rows_by_day(requests, REQUESTS.column_names), "events": rows_by_day(events, EVENTS.column_names)}
    return [{name: sorted(rows.get(day, [])) for name, rows in by_day.items()} for day in days]


def rows_by_day(frame: DataFrame, columns: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    chosen = [name if name != "ts" else "unix_micros(ts) as ts" for name in columns]
    for row in frame.selectExpr("cast(arrival_date as string) as day", *chosen).collect():
        values: dict[str, Any] = row.asDict()
        found.setdefault(values.pop("day"), []).append(json.dumps(values, default=str))
    return found


@contextmanager
def session(spark: SparkSession, partitions: int, zone: str, adaptive: bool) -> Iterator[None]:
    wanted = {"spark.sql.shuffle.partitions": str(partitions), "spark.sql.session.timeZone": zone,
              "spark.sql.adaptive.enabled": str(adaptive).lower()}
    before = {name: spark.conf.get(name) for name in wanted}
    try:
        for name, value in wanted.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


@pytest.fixture(scope="module")
def in_order(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The day in one file, each line once, in the order of its making."""
    [rows] = ingested(spark, tmp_path_factory.mktemp("in_order"), [Arrival(list(NUMBERS), [], [])])
    return rows


def test_the_day_holds_what_the_rules_speak_of(in_order: Rows) -> None:
    # Four requests of three documents each; of five events one repeats an id, one a natural key.
    assert {name: len(rows) for name, rows in in_order.items()} == {"requests": 4, "events": 12}
    assert all('"sources": 3' in row and "<email>" in row and '"p9"' not in row for row in in_order["requests"])


@pytest.mark.parametrize(("partitions", "zone", "adaptive"), LAYOUTS)
@settings(max_examples=1, phases=[Phase.generate])
@given(seeds=st.lists(st.integers(0, 2**32), min_size=10, max_size=12, unique=True))
def test_order_repetition_files_partitions_time_zone_and_adaptive_execution_change_nothing(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, in_order: Rows,
    partitions: int, zone: str, adaptive: bool, seeds: list[int],
) -> None:
    ways = [arrival(seed) for seed in seeds]
    with session(spark, partitions, zone, adaptive):
        for way, rows in zip(ways, ingested(spark, tmp_path_factory.mktemp("shuffled"), ways), strict=True):
            assert rows == in_order, way
