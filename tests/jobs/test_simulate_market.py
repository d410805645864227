"""The simulator end to end, small: what it delivers, what it publishes, and that both depend on the seed alone."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.market.delivery import PRODUCER
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from jobs.simulate_market import JOB
from schemas.events import ACTIONS
from tests.jobs.published import config_in

LAST = date(2026, 1, 8)
DAYS = ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]
TRUTH = ("truth_requests", "truth_utility", "truth_examination", "truth_faults")
NO_FAULTS = {name: 0.0 for name in Config().market.faults.model_dump()}
MANY_FAULTS = {**dict.fromkeys(NO_FAULTS, 0.03), "request_twice": 0.1}


@dataclass(frozen=True)
class Simulated:
    """One finished run: its context and the raw lines by (day, kind)."""

    context: JobContext
    raw: Path

    def lines(self, kind: str) -> list[tuple[str, str]]:
        """(arrival day, line) of every delivered line of a kind."""
        found = []
        for path in sorted(self.raw.glob(f"dt=*/{kind}-*.json.gz")):
            found += [(path.parent.name[3:], line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
        return found

    def documents(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """(arrival day, document) of every line that is JSON."""
        return [(day, document) for day, line in self.lines(kind) if (document := parsed(line)) is not None]

    def rows(self, dataset: str) -> list[Any]:
        """The published rows of one truth dataset."""
        manifest = self.context.outputs[dataset, "2026-01-08"]
        folder = self.context.warehouse / dataset / "dt=2026-01-08" / f"run={manifest.run_id}"
        return self.context.spark.read.parquet(*[str(folder / f.path) for f in manifest.files]).collect()

    def hash(self, dataset: str) -> str:
        """The content hash of one truth dataset."""
        return self.context.outputs[dataset, "2026-01-08"].content_hash


def parsed(line: str) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def simulate(
    spark: SparkSession, folder: Path, faults: dict[str, float], partitions: int, zone: str = "UTC"
) -> Simulated:
    """A market of 400 items and about 500 requests over four days."""
    market = {"items": 400, "requests": 500, "days": 4, "shops": 5, "intents": 60, "faults": faults}
    config = config_in(folder, market=market)
    before = {key: spark.conf.get(key) for key in ("spark.sql.shuffle.partitions", "spark.sql.session.timeZone")}
    try:
        spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        spark.conf.set("spark.sql.session.timeZone", zone)
        context = run_job(JOB, config, LAST, lambda: spark)
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)
    return Simulated(context, folder / "raw")


@pytest.fixture(scope="module")
def faulty(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """Every fault at three in a hundred, seven partitions."""
    yield simulate(spark, tmp_path_factory.mktemp("faulty"), MANY_FAULTS, 7)


@pytest.fixture(scope="module")
def clean(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """The same market without faults, three partitions."""
    yield simulate(spark, tmp_path_factory.mktemp("clean"), NO_FAULTS, 3)


def test_the_same_seed_gives_the_same_rows_under_one_partition_and_another_time_zone(
    spark: SparkSession, tmp_path: Path, faulty: Simulated
) -> None:
    again = simulate(spark, tmp_path, MANY_FAULTS, 1, "Asia/Kolkata")
    assert [again.hash(d) for d in TRUTH] == [faulty.hash(d) for d in TRUTH]
    for kind in ("queries", "events", "catalogue"):
        assert Counter(again.lines(kind)) == Counter(faulty.lines(kind))


def test_faults_change_the_delivery_and_nothing_behind_it(faulty: Simulated, clean: Simulated) -> None:
    for dataset in ("truth_requests", "truth_utility", "truth_examination"):
        assert clean.hash(dataset) == faulty.hash(dataset)
    assert set(faulty.lines("catalogue")) == set(clean.lines("catalogue"))


def test_every_day_of_the_period_is_delivered_with_a_manifest_that_tells_the_truth(faulty: Simulated) -> None:
    assert sorted(p.name for p in faulty.raw.iterdir()) == [f"dt={day}" for day in DAYS]
    for day in faulty.raw.iterdir():
        entries = json.loads((day / PRODUCER).read_text())["files"]
        assert {e["path"].split("-")[0] for e in entries} == {"queries", "events", "catalogue"}
        for entry in entries:
            body = (day / entry["path"]).read_bytes()
            assert (len(body), gzip.decompress(body).count(b"\n")) == (entry["bytes"], entry["rows"])


def test_a_query_document_has_the_agreed_shape(clean: Simulated) -> None:
    documents = [document for _, document in clean.documents("queries")]
    for document in documents:
        assert set(document) == {
            "application", "query_id", "client_id", "user_query", "timestamp", "query_response_hit_ids",
            "query_attributes",
        }
        attributes = document["query_attributes"]
        always = {"page", "page_size", "locale", "session_id", "user_agent"}
        assert always <= set(attributes) <= always | {"user_id", "sort", "filters"}
        assert len(document["query_response_hit_ids"]) <= attributes["page_size"] == 12
        assert document["timestamp"].endswith("Z") and len(document["timestamp"]) == 24
    assert {d["query_attributes"]["page"] for d in documents} == {1, 2}
    assert {d["query_attributes"].get("sort") for d in documents} >= {None, "price_asc"}
    assert len({d["query_id"] for d in documents}) == len(documents)


def test_an_event_has_the_agreed_shape_and_stands_where_the_page_showed_it(clean: Simulated) -> None:
    shown = {d["query_id"]: d for _, d in clean.documents("queries")}
    names = set()
    for _, event in clean.documents("events"):
        names.add(event["action_name"])
        attributes = event["event_attributes"]
        assert event["action_name"] in ACTIONS and attributes["object"]["object_id_field"] == "sku"
        if "query_id" in event:
            page = shown[event["query_id"]]
            first = (page["query_attributes"]["page"] - 1) * 12
            place = attributes["position"]["ordinal"] - 1 - first
            assert page["query_response_hit_ids"][place] == attributes["object"]["object_id"]
            assert event["timestamp"] > page["timestamp"]
        if event["action_name"] in ("purchase", "refund"):
            assert attributes["quantity"] >= 1 and attributes["price"] > 0 and attributes["order_id"]
    assert {"impression", "click", "add_to_cart", "purchase"} <= names <= set(ACTIONS)
    assert any("event_id" not in e["event_attributes"] for _, e in clean.documents("events"))


def test_the_catalogue_of_a_day_holds_what_was_listed_by_its_end(clean: Simulated) -> None:
    by_day: dict[str, dict[str, dict[str, Any]]] = {}
    for day, item in clean.documents("catalogue"):
        always = {"object_id", "locale", "title", "brand", "category_path", "shop", "price", "available", "valid_from"}
        assert always <= set(item) <= always | {"valid_to"}
        assert item["category_path"].count(" > ") == 2 and item["valid_from"][:10] <= day
        assert ("valid_to" in item) <= (not item["available"])
        by_day.setdefault(day, {})[item["object_id"]] = item
    sizes = [len(by_day[day]) for day in DAYS]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] <= 400
    assert any(not item["available"] for item in by_day[DAYS[-1]].values())


def test_without_faults_every_request_is_delivered_once_and_on_its_day(clean: Simulated) -> None:
    documents = clean.documents("queries")
    assert len(documents) == len(clean.lines("queries")) == len(clean.rows("truth_requests"))
    assert all(document["timestamp"][:10] == day for day, document in documents)
    events = clean.documents("events")
    assert len(events) == len(clean.lines("events"))
    assert all(event["timestamp"][:10] == day for day, event in events)
    known = [e["event_attributes"]["event_id"] for _, e in events if "event_id" in e["event_attributes"]]
    assert len(set(known)) == len(known)
    assert {row["fault"] for row in clean.rows("truth_faults")} <= {"not_delivered"}


def test_the_counts_of_request_faults_are_those_of_the_files(faulty: Simulated, clean: Simulated) -> None:
    counted = counts(faulty, "query")
    lines, documents = faulty.lines("queries"), [d for _, d in faulty.documents("queries")]
    ids = Counter(d["query_id"] for d in documents)
    assert counted["not_json"] == len(lines) - len(documents)
    assert counted["missing_timestamp"] == sum("timestamp" not in d for d in documents)
    assert counted["request_twice"] == sum(n == 2 for n in ids.values())
    lags = Counter(lag(day, d["timestamp"]) for day, d in faulty.documents("queries") if "timestamp" in d)
    assert counted["late"] == sum(lags[n] for n in (1, 2, 3)) and counted["too_late"] == sum(lags[n] for n in (4, 5, 6))
    missing = len(clean.lines("queries")) - len(ids) - counted["not_json"]
    assert counted["lost_request"] + counted["not_delivered"] == missing
    halves = [d for d in documents if ids[d["query_id"]] == 2]
    assert sum("client_id" in d for d in halves) == sum("query_response_hit_ids" in d for d in halves)
    assert sum("client_id" in d for d in halves) == len(halves) / 2


def test_the_counts_of_event_faults_are_those_of_the_files(faulty: Simulated) -> None:
    counted = counts(faulty, "event")
    lines, events = faulty.lines("events"), faulty.documents("events")
    assert counted["not_json"] == len(lines) - len(events)
    assert counted["missing_timestamp"] == sum("timestamp" not in e for _, e in events)
    assert counted["null_object_id"] == sum("object_id" not in e["event_attributes"]["object"] for _, e in events)
    ordinals = [e["event_attributes"]["position"]["ordinal"] for _, e in events if "position" in e["event_attributes"]]
    assert counted["bad_position"] == sum(ordinal < 1 for ordinal in ordinals)
    assert counted["unknown_action"] == sum(e["action_name"] not in ACTIONS for _, e in events)
    copies = Counter(json.dumps(e, sort_keys=True) for _, e in events)
    assert counted["duplicate_same_day"] + counted["duplicate_next_day"] == sum(n - 1 for n in copies.values())
    lags = Counter(lag(day, e["timestamp"]) for day, e in events if "timestamp" in e)
    assert counted["too_late"] == sum(lags[n] for n in (4, 5, 6))
    assert counted["late"] + counted["duplicate_next_day"] == sum(lags[n] for n in (1, 2, 3))


def test_orphans_are_the_events_whose_request_no_file_holds(faulty: Simulated) -> None:
    known = {d["query_id"] for _, d in faulty.documents("queries") if "timestamp" in d}
    sound = [
        e for _, e in faulty.documents("events")
        if "timestamp" in e and "object_id" in e["event_attributes"]["object"]
        and e["event_attributes"].get("position", {}).get("ordinal", 1) > 0
    ]
    orphans = sum(e.get("query_id", "") not in known for e in sound if "query_id" in e)
    assert counts(faulty, "event")["orphan"] == orphans > 0


def test_bots_ask_and_people_alone_examine(clean: Simulated) -> None:
    actors = {row["query_id"]: row["actor"] for row in clean.rows("truth_requests")}
    assert set(actors.values()) == {"human", "scraper", "price_watcher", "click_farm", "monitoring"}
    examined = [row for row in clean.rows("truth_examination") if row["examined"]]
    assert {actors[row["query_id"]] for row in examined} == {"human"}
    clicks = Counter(actors[e["query_id"]] for _, e in clean.documents("events") if e["action_name"] == "click")
    assert clicks["click_farm"] > 0 and clicks["scraper"] == clicks["monitoring"] == 0


def test_what_a_person_clicked_had_been_examined(clean: Simulated) -> None:
    people = {row["query_id"] for row in clean.rows("truth_requests") if row["actor"] == "human"}
    examined = {(r["query_id"], r["object_id"]) for r in clean.rows("truth_examination") if r["examined"]}
    clicked = {
        (e["query_id"], e["event_attributes"]["object"]["object_id"])
        for _, e in clean.documents("events") if e["action_name"] == "click" and e["query_id"] in people
    }
    assert clicked and clicked <= examined


def test_utilities_are_probabilities_and_an_order_is_rarer_than_its_click(clean: Simulated) -> None:
    rows = clean.rows("truth_utility")
    assert all(0 < r["order_probability"] < r["click_probability"] < 1 and 0 < r["relevance"] <= 1 for r in rows)


def test_the_published_score_is_what_the_ranker_filled_its_pages_by(clean: Simulated) -> None:
    intent = {r["query_id"]: r["intent_id"] for r in clean.rows("truth_requests") if r["actor"] == "human"}
    scores = {(r["intent_id"], r["object_id"]): r["ranker_score"] for r in clean.rows("truth_utility")}
    shown = {(intent[r["query_id"]], r["object_id"]) for r in clean.rows("truth_examination") if r["query_id"] in intent}
    asked = {i for i, _ in shown}
    left = [score for pair, score in scores.items() if pair[0] in asked and pair not in shown]
    assert len(left) > 100
    assert sum(scores[pair] for pair in shown) / len(shown) > sum(left) / len(left) + 0.5


def counts(run: Simulated, kind: str) -> Counter[str]:
    """Injected faults of one kind of record, all days together."""
    found: Counter[str] = Counter()
    for row in run.rows("truth_faults"):
        if row["kind"] == kind:
            found[row["fault"]] += row["records"]
    return found


def lag(arrival: str, timestamp: str) -> int:
    """Days from happening to arrival."""
    return (date.fromisoformat(arrival) - date.fromisoformat(timestamp[:10])) // timedelta(days=1)
