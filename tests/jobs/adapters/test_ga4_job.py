"""A GA4 export through the real jobs: refilled tables, derived query ids, labels that can be told by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.label_impressions import JOB as LABEL
from jobs.runtime.job import JobContext, run_job
from tests.jobs.adapters.ga4_cases import D1, D2, deliver_json, deliver_parquet
from tests.jobs.ingest_cases import config_of, ingest

Row = dict[str, Any]


@dataclass
class Story:
    """The first day alone, the second with the first exported again, then the labels."""

    first: JobContext
    second: JobContext
    labels: JobContext

    def rows(self, dataset: str, day: str) -> list[Row]:
        context = self.first if day == D1 else self.second
        return [r.asDict() for r in context.written(dataset, [day]).collect()]


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Story:
    root = tmp_path_factory.mktemp("ga4")
    deliver_json(root)
    config = config_of(root, adapter="ga4")
    first, second = ingest(spark, config, D1), ingest(spark, config, D2)
    return Story(first, second, run_job(LABEL, config, date.fromisoformat(D2), lambda: spark))


def dispositions(story: Story, day: str) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(kind, disposition, reason) -> (raw records, derived records) over all files of a day."""
    records, derived = Counter(), Counter()
    for r in story.rows("ledger", day):
        key = r["kind"], r["disposition"], r["reason"]
        records[key] += r["records"]
        derived[key] += r["derived"]
    return {key: (records[key], derived[key]) for key in records}


def test_every_row_of_the_export_is_counted_once_and_what_was_derived_from_it_apart(story: Story) -> None:
    assert dispositions(story, D1) == {
        ("query", "accepted", ""): (2, 0), ("query", "merged", "same_query_id"): (3, 0), ("event", "accepted", ""): (5, 1),
        ("event", "quarantined", "missing_object_id"): (1, 0), ("other", "unused", "no_label_needs_it"): (2, 0),
    }
    for context, day in ((story.first, D1), (story.second, D2)):
        assert context.outputs["ledger", day].metrics["unaccounted_records"] == 0
    assert (story.first.outputs["events", D1].rows, story.first.outputs["ledger", D1].facts["raw_lines"]) == (6, 13)


def test_a_day_that_is_exported_again_adds_what_is_new_and_nothing_else(story: Story) -> None:
    assert dispositions(story, D2) == {
        # The search for hdmi, in the daily and in the intraday table, and the one that got another page.
        ("query", "accepted", ""): (2, 0), ("query", "duplicate", "same_request_of_earlier_day"): (1, 0),
        ("query", "merged", "same_query_id"): (4, 0), ("query", "duplicate", "same_record"): (1, 0),
        ("event", "accepted", ""): (2, 0), ("event", "duplicate", "natural_key_of_earlier_day"): (5, 1),
        ("event", "duplicate", "natural_key"): (1, 0), ("event", "quarantined", "missing_object_id"): (1, 0),
        ("other", "unused", "no_label_needs_it"): (2, 0),
    }
    assert {(r["action"], r["object_id"]) for r in story.rows("events", D2)} == {("click", "p2"), ("click", "p6")}
    assert story.second.outputs["ledger", D2].facts["raw_lines"] == 19


def test_a_search_keeps_its_id_and_its_list_grows(story: Story) -> None:
    before = {r["query_norm"]: r for r in story.rows("requests", D1)}
    after = {r["query_norm"]: r for r in story.rows("requests", D2)}
    assert {text: r["hit_ids"] for text, r in before.items()} == {
        "usb cable": ["p1", "p2", "p3", "p4", "p5"], "hub usb": ["p7", "p8"]
    }
    assert {text: r["hit_ids"] for text, r in after.items()} == {"hub usb": ["p7", "p8", "p10"], "hdmi": ["p6"]}
    assert before["hub usb"]["query_id"] == after["hub usb"]["query_id"]
    assert (before["usb cable"]["session_id"], before["usb cable"]["client_id"], before["usb cable"]["query_text"]) == (
        "a.11", "a", "USB Cable"
    )


def test_no_event_names_a_search_and_a_click_in_another_list_is_a_view(story: Story) -> None:
    events = story.rows("events", D1)
    assert {r["query_id"] for r in events} == {None}
    assert sorted((r["action"], r["object_id"], r["position"], r["order_id"]) for r in events) == [
        ("add_to_cart", "p4", None, None), ("click", "p4", 4, None), ("click", "p8", 2, None),
        ("purchase", "p4", None, "T1"), ("purchase", "p9", None, "T1"), ("view", "p1", 1, None),
    ]


def test_the_labels_are_those_that_one_tells_by_hand(story: Story) -> None:
    requests = {r["query_id"]: r["query_norm"] for day in (D1, D2) for r in story.rows("requests", day)}
    labelled = story.labels.written("impressions", [D1, D2]).collect()
    found = {(requests[r["query_id"]], r["object_id"]): (r["stage"], r["position"], r["attribution_rule"]) for r in labelled}
    assert found == {
        ("usb cable", "p1"): ("unclicked", 1, None), ("usb cable", "p2"): ("clicked", 2, "session_last_touch"),
        ("usb cable", "p3"): ("unclicked", 3, None), ("usb cable", "p4"): ("ordered", 4, "last_cart"),
        ("usb cable", "p5"): ("unclicked", 5, None),  # one below the deepest click
        ("hub usb", "p7"): ("unclicked", 1, None), ("hub usb", "p8"): ("clicked", 2, "session_last_touch"),
        ("hub usb", "p10"): ("unclicked", 3, None), ("hdmi", "p6"): ("clicked", 1, "session_last_touch"),
    }
    rules = story.labels.outputs["attributions", D1].facts["rules"]
    assert rules == {
        "add_to_cart": {"last_clicked_query": 1}, "click": {"session_last_touch": 3}, "purchase": {"last_cart": 1, "none": 1},
    }


def test_what_is_refused_names_nobody(story: Story) -> None:
    [refused] = story.rows("quarantine", D1)
    assert (refused["reason"], refused["record"], '"user_pseudo_id": "b"' in refused["excerpt"]) == ("missing_object_id", 1, False)
    assert '"user_pseudo_id":"<hidden>"' in refused["excerpt"]


def test_what_was_rescued_is_counted(story: Story) -> None:
    facts = story.first.outputs["ledger", D1].facts["tolerances"]
    assert facts == {"int64_as_text": 11, "not_set": 1, "order_of_appearance": 1, "term_in_page_location": 1, "term_of_session": 1}


@pytest.mark.slow
def test_parquet_and_all_days_in_one_run_give_the_same_content(
    spark: SparkSession, story: Story, tmp_path: Path
) -> None:
    deliver_parquet(tmp_path)
    config = config_of(tmp_path, adapter="ga4", catch_up_days=1)
    together = ingest(spark, config, D2)
    labels = run_job(LABEL, config, date.fromisoformat(D2), lambda: spark)
    for day, context in ((D1, story.first), (D2, story.second)):
        for dataset in ("requests", "events"):
            assert together.outputs[dataset, day].content_hash == context.outputs[dataset, day].content_hash
        for dataset in ("impressions", "attributions"):
            assert labels.outputs[dataset, day].content_hash == story.labels.outputs[dataset, day].content_hash
        assert together.outputs["ledger", day].metrics["unaccounted_records"] == 0
