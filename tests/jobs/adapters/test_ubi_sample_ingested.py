"""The public ESCI UBI sample through the real job, beside a reading of the same file in plain Python."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.ingest.privacy import ensure_user_key
from jobs.ingest_logs import JOB
from jobs.runtime.job import JobContext, run_job
from tests.jobs.ingest_cases import ledger_of
from tests.jobs.published import config_in

DAY = "2025-03-04"
LATE = 280
"""Days: the sample holds nine months of times in one file."""
CONVERSIONS = ("click", "add_to_cart", "purchase")
Document = dict[str, Any]


class Sample:
    """What stands in the file, by line; times, ids and duplicates are read by the written rules."""

    def __init__(self, path: Path) -> None:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        self.lines = {n: json.loads(line) for n, line in enumerate(lines, 1) if line.strip()}
        self.events = {n: d for n, d in self.lines.items() if "action_name" in d}
        self.queries = {n: d for n, d in self.lines.items() if "user_query" in d and n not in self.events}
        self.known = {d["query_id"] for d in self.queries.values()}
        self.firsts = {key: min(lines, key=lambda n: (moment(self.events[n]), n)) for key, lines in self.by_key().items()}

    def by_key(self) -> dict[tuple[Any, ...], list[int]]:
        """Line numbers of the events that labels need, by natural key: this log has no event ids."""
        found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for n, d in self.events.items():
            if d["action_name"] in ("impression", *CONVERSIONS):
                who = d.get("client_id") or d.get("session_id") or d.get("user_id")
                found[query_of(d), d["action_name"], item(d), int(moment(d)), who].append(n)
        return found

    def orphans(self) -> set[int]:
        """Lines of the events whose query has no document."""
        return {n for n, d in self.events.items() if query_of(d) is not None and query_of(d) not in self.known}

    def unseen(self, lines: set[int]) -> Counter[str]:
        """Conversions on some lines for which the file has no impression of the same query and item."""
        shown = {(query_of(d), item(d)) for d in self.events.values() if d["action_name"] == "impression"}
        chosen = [self.events[n] for n in lines if self.events[n]["action_name"] in CONVERSIONS]
        return Counter(d["action_name"] for d in chosen if (query_of(d), item(d)) not in shown)


def query_of(event: Document) -> str | None:
    return (event.get("query_id") or "").strip() or None


def item(event: Document) -> str | None:
    """The item's id under its new or its old name."""
    thing = (event.get("event_attributes") or {}).get("object") or {}
    data = (event.get("event_attributes") or {}).get("data") or {}
    found = thing.get("object_id") or data.get("object_id")
    return None if found is None else str(found).strip()


def moment(event: Document) -> float:
    """Seconds since 1970 of an ISO time or of epoch milliseconds."""
    written = event["timestamp"]
    if isinstance(written, int | float):
        return written / 1000
    parsed = datetime.fromisoformat(written)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()


@pytest.fixture(scope="module")
def sample(shared_data: Path) -> Sample:
    return Sample(shared_data / "esci_ubi_sample" / "ubi_queries_events.ndjson.gz")


@pytest.fixture(scope="module")
def ingested(spark: SparkSession, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobContext]:
    """The job with the declared audit; only the spread of times, and which application counts from 0, are configured."""
    root = tmp_path_factory.mktemp("sample")
    (root / "raw" / f"dt={DAY}").mkdir(parents=True)
    shutil.copyfile(shared_data / "esci_ubi_sample" / "ubi_queries_events.ndjson.gz", root / "raw" / f"dt={DAY}" / "ubi.ndjson.gz")
    config = config_in(root, retention={"people_days": 2 * LATE}, ingest={
        "user_key_file": str(ensure_user_key(root / "key")), "late_days": LATE, "key_rotation_days": 4 * LATE,
        "position_base_by_application": {"esci_ubi_sample": 0},
    })
    yield run_job(JOB, config, date.fromisoformat(DAY), lambda: spark)


def test_the_file_is_what_the_reference_says(sample: Sample) -> None:
    events = sample.events
    assert (len(sample.queries), len(sample.known), len(events)) == (473, 284, 3448)
    assert sum(query_of(d) is None for d in events.values()) == 2
    assert len(sample.orphans()) == 944
    assert Counter(d["action_name"] for d in events.values() if d["action_name"] in CONVERSIONS) == {
        "click": 287, "add_to_cart": 234, "purchase": 6,
    }
    assert sample.unseen(set(events)) == {"click": 41, "add_to_cart": 48, "purchase": 6}


def test_every_record_of_the_sample_has_one_disposition_and_none_is_an_error(ingested: JobContext, sample: Sample) -> None:
    repeated = len(sample.events) - 922 - len(sample.firsts)
    ledger = ledger_of(ingested, DAY)
    copies = ledger.pop(("query", "duplicate", "same_record"), 0)
    assert ledger == {
        ("action", "merged", "bulk_action"): 3921,
        ("query", "accepted", ""): 284, ("query", "merged", "same_query_id"): 473 - 284 - copies,
        ("event", "accepted", ""): len(sample.firsts), ("event", "duplicate", "natural_key"): repeated,
        ("event", "quarantined", "unknown_action"): 922,
    }
    metrics = ingested.outputs["ledger", DAY].metrics
    assert (metrics["unaccounted_records"], metrics["quarantined_share"], metrics["records"]) == (0, 0, len(sample.lines))
    assert ingested.outputs["requests", DAY].rows == 284
    assert ingested.outputs["events", DAY].rows == len(sample.firsts)
    assert ingested.committed is not None


def test_the_published_requests_keep_78_hit_lists_and_the_text_that_says_something(ingested: JobContext, sample: Sample) -> None:
    requests = ingested.written("requests", [DAY])
    assert requests.where("size(hit_ids) > 0").count() == 78
    texts: dict[str, set[str]] = defaultdict(set)
    for d in sample.queries.values():
        texts[d["query_id"]].add(d["user_query"])
    twice = {query_id: said - {""} for query_id, said in texts.items() if len(said) > 1}
    published = {r["query_id"]: r["query_text"] for r in requests.select("query_id", "query_text").collect()}
    assert len(twice) == 7 and all(published[query_id] in said for query_id, said in twice.items())


def test_the_944_orphans_are_published_repeated_or_of_actions_that_no_label_needs(ingested: JobContext, sample: Sample) -> None:
    events, requests = ingested.written("events", [DAY]), ingested.written("requests", [DAY]).select("query_id")
    published = events.where("query_id is not null").join(requests, "query_id", "left_anti").count()
    refused = {r["line"] for r in ingested.written("quarantine", [DAY]).select("line").collect()}
    orphans, firsts = sample.orphans(), set(sample.firsts.values())
    assert refused == sample.events.keys() - {n for lines in sample.by_key().values() for n in lines}
    assert published == len(orphans & firsts)
    assert published + len(orphans & refused) + len(orphans - refused - firsts) == 944
    unknown = events.where("query_id is null").count()
    assert unknown + sum(query_of(sample.events[n]) is None for n in refused) == 2


def test_published_conversions_without_an_impression_are_those_of_the_file(ingested: JobContext, sample: Sample) -> None:
    events = ingested.written("events", [DAY])
    shown = events.where("action = 'impression'").select("query_id", "object_id").distinct()
    unseen = events.where(f"action in {CONVERSIONS}").join(shown, ["query_id", "object_id"], "left_anti")
    found = {r["action"]: r["count"] for r in unseen.groupBy("action").count().collect()}
    assert found == sample.unseen(set(sample.firsts.values()))


def test_both_position_bases_are_reported_and_end_one_based(ingested: JobContext) -> None:
    bases = ingested.outputs["ledger", DAY].facts["positions"]
    assert {name: (b["at_0"], b["looks_like"]) for name, b in bases.items()} == {"esci_ubi_sample": (200, 0), "Chorus": (0, 1)}
    shown = ingested.written("events", [DAY]).where("action = 'impression'")
    assert shown.where("position < 1 or position is null").count() == 0
