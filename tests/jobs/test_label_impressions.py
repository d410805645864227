"""The labelling job on published snapshots: which days it writes, what a late order changes, when it stops."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.label_impressions import JOB
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import EMPTY, SnapshotLog
from tests.jobs.labels.streams import Row, collected, event, frame, request
from tests.jobs.published import config_in

RULES = {"labels": {"window_days": 4, "order_window_days": 1}, "ingest": {"late_days": 1}}
"""What arrives on a day can change the labels of that day and of the two before it."""

LATE_ORDER = event("late", "purchase", "b", -60, days=2, client_id="c2", session_id="the shop")
"""Happens on the 3rd, 23 hours after the search of the 2nd; arrives on the 4th."""


def ordinary_day(day: int) -> tuple[list[Row], list[Row]]:
    """One search of three items, with a click on the second; each day has its own session."""
    names = {"session_id": f"s{day}", "client_id": f"c{day}"}
    searches = [request(f"q{day}", "abc", days=day - 1, **names)]
    return searches, [event(f"e{day}", "click", "b", 1, days=day - 1, query_id=f"q{day}", **names)]


def arrive(spark: SparkSession, config: Config, arrivals: Mapping[int, tuple[list[Row], list[Row]]]) -> None:
    """Publishes what arrived on each of some days of January."""
    days = [f"2026-01-{day:02d}" for day in arrivals]

    def write(context: JobContext) -> None:
        for n, name in enumerate(("requests", "events")):
            parts = [
                frame(spark, name, rows[n]).selectExpr("*", f"date '2026-01-{day:02d}' as arrived")
                for day, rows in arrivals.items()
            ]
            together = parts[0]
            for part in parts[1:]:
                together = together.unionByName(part)
            context.write_days(name, together, days, "arrived")

    arrived = Job("given", reads=(), writes=("requests", "events"), run=write)
    run_job(arrived, config, date.fromisoformat(days[-1]), lambda: spark)


def label(spark: SparkSession, config: Config, day: int) -> JobContext:
    return run_job(JOB, config, date(2026, 1, day), lambda: spark)


def published(config: Config, dataset: str) -> dict[str, Manifest]:
    head = SnapshotLog(config.paths.warehouse).head()
    folder = Path(config.paths.warehouse) / dataset
    return {day: Manifest.read(folder / f"dt={day}" / f"run={head.run(dataset, day)}") for day in head.days(dataset)}


def impressions(spark: SparkSession, config: Config) -> dict[tuple[str, str], Row]:
    """(query_id, object_id) -> row, over all published days."""
    paths = [
        f"{config.paths.warehouse}/impressions/dt={day}/run={manifest.run_id}"
        for day, manifest in published(config, "impressions").items()
    ]
    return {(r["query_id"], r["object_id"]): r for r in collected(spark.read.parquet(*paths))}


@dataclass
class Story:
    """Four days: the first three are labelled on the 3rd, then the 4th arrives with a late order and is labelled.

    Then the 3rd is run once more, and six days later the 9th, whose window begins on the 6th.
    """

    config: Config
    contexts: dict[str, JobContext] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    manifests: dict[str, dict[str, Manifest]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Story:
    config = config_in(tmp_path_factory.mktemp("story"), **RULES)
    told = Story(config)

    def run(name: str, day: int) -> None:
        told.contexts[name] = label(spark, config, day)
        told.rows[name], told.manifests[name] = impressions(spark, config), published(config, "impressions")

    arrive(spark, config, {day: ordinary_day(day) for day in (1, 2, 3)})
    run("third", 3)
    told.contexts["third again"] = label(spark, config, 3)
    searches, events = ordinary_day(4)
    arrive(spark, config, {4: (searches, [*events, LATE_ORDER])})
    run("fourth", 4)
    run("third after fourth", 3)
    arrive(spark, config, {9: ordinary_day(9)})
    run("ninth", 9)
    return told


def test_an_order_that_arrives_two_days_later_changes_its_label_and_nothing_else(story: Story) -> None:
    before, after = story.rows["third"], story.rows["fourth"]
    assert [key for key in before if after[key] != before[key]] == [("q2", "b")]
    assert (before["q2", "b"]["stage"], after["q2", "b"]["stage"]) == ("clicked", "ordered")
    assert after["q2", "b"]["attribution_rule"] == "last_clicked_query"
    old, new = story.manifests["third"], story.manifests["fourth"]
    assert [day for day in old if new[day].content_hash != old[day].content_hash] == ["2026-01-02"]


def test_only_days_that_a_new_arrival_can_change_are_written_again(story: Story) -> None:
    first, second = story.contexts["third"], story.contexts["fourth"]
    assert (first.notes["days"], second.notes["days"]) == ("3 of 3", "3 of 4")
    assert story.manifests["fourth"]["2026-01-01"].run_id == first.run_id
    assert story.manifests["fourth"]["2026-01-02"].run_id == second.run_id


def test_nothing_is_written_where_nothing_changed(story: Story) -> None:
    again = story.contexts["third again"]
    assert (again.notes["days"], again.outputs) == ("0 of 3", {})


def test_a_run_of_an_earlier_date_repeats_its_result_whatever_has_arrived_since(story: Story) -> None:
    first, again = ({d: m.content_hash for d, m in story.manifests[name].items()} for name in ("third", "third after fourth"))
    assert {day: again[day] for day in first} == first
    assert story.rows["third after fourth"]["q2", "b"]["stage"] == "clicked"
    assert story.contexts["third after fourth"].notes["days"] == "2 of 3"
    assert again["2026-01-04"] == story.manifests["fourth"]["2026-01-04"].content_hash


def test_what_an_earlier_date_took_back_the_next_run_labels_again_however_old_it_is(story: Story) -> None:
    fourth, ninth = story.manifests["fourth"], story.manifests["ninth"]
    assert story.rows["ninth"]["q2", "b"]["stage"] == "ordered"
    assert {day: ninth[day].content_hash for day in fourth} == {day: m.content_hash for day, m in fourth.items()}
    assert all(m.facts["maturity"]["final"] for day, m in ninth.items() if day != "2026-01-09")


def test_each_day_says_how_mature_it_is(story: Story) -> None:
    maturity = {day: m.facts["maturity"] for day, m in story.manifests["fourth"].items()}
    assert maturity["2026-01-01"] == {"days": 2, "final": True, "labelled_on": "2026-01-03"}
    assert maturity["2026-01-03"] == {"days": 1, "final": False, "labelled_on": "2026-01-04"}


def test_night_by_night_gives_the_same_labels_as_all_at_once(
    spark: SparkSession, story: Story, tmp_path: Path
) -> None:
    once = config_in(tmp_path, **RULES)
    inputs = {}
    for (dataset, day), run in SnapshotLog(story.config.paths.warehouse).head().snapshots.items():
        if dataset in ("requests", "events"):
            run_folder = f"{dataset}/dt={day}/run={run}"
            shutil.copytree(Path(story.config.paths.warehouse) / run_folder, Path(once.paths.warehouse) / run_folder)
            inputs[dataset, day] = run
    SnapshotLog(once.paths.warehouse).commit(EMPTY, "given", "given", inputs, {})
    assert label(spark, once, 4).notes["days"] == "4 of 4"
    for dataset in ("impressions", "attributions"):
        nightly, together = published(story.config, dataset), published(once, dataset)
        assert {d: nightly[d].content_hash for d in together} == {d: m.content_hash for d, m in together.items()}


def test_a_day_whose_own_log_never_came_does_not_stop_the_nights_after_it(spark: SparkSession, tmp_path: Path) -> None:
    """Of the 2nd one search is known, which arrived on the 3rd and has no click."""
    config = config_in(tmp_path, **RULES)
    searches, clicks = ordinary_day(3)
    late = request("late", "abc", days=1, session_id="s2", client_id="c2")
    arrive(spark, config, {1: ordinary_day(1), 3: ([*searches, late], clicks)})
    assert label(spark, config, 3).committed is not None
    assert published(config, "impressions")["2026-01-02"].metrics["clicked"] == 0


def test_every_conversion_is_accounted_for(spark: SparkSession, tmp_path: Path) -> None:
    config = config_in(tmp_path)
    arrive(spark, config, {1: ([request("q", "abc")], [
        event("e1", "click", "c", 1, query_id="q"), event("e2", "click", "z", 1, client_id="stranger"),
        event("e3", "purchase", "c", 2, order_id="o"), event("e4", "purchase", "c", 3, order_id="o"),
    ])})
    context = label(spark, config, 1)
    attributions, labelled = (context.outputs[name, "2026-01-01"] for name in ("attributions", "impressions"))
    assert attributions.facts["events"] == {"click": 2, "purchase": 2}
    assert attributions.facts["rules"] == {
        "click": {"none": 1, "own_query": 1}, "purchase": {"last_clicked_query": 1, "repeated_order": 1},
    }
    figures = ("attributed", "unattributed", "repeated_orders", "conversions_unaccounted")
    assert [attributions.metrics[name] for name in figures] == [2, 1, 1, 0]
    assert labelled.facts["funnel"] == {"ordered": 1, "unclicked": 2}
    assert labelled.facts["clicks_by_position"] == [[1, 1, 0], [2, 1, 0], [3, 1, 1]]


def test_a_missing_input_stops_the_job(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="requests dt=2026-01-02: not published"):
        label(spark, config_in(tmp_path), 2)


def test_a_window_without_a_search_stops_the_job(spark: SparkSession, tmp_path: Path) -> None:
    # A search of long ago is all that arrived: the audit of ingest lets it pass, the window does not hold it.
    config = config_in(tmp_path)
    arrive(spark, config, {8: ([request("old", "abc", days=-60)], [event("e", "click", "a", 1, days=-60)])})
    with pytest.raises(Blocked, match="no search of the 11 days up to then has arrived"):
        label(spark, config, 8)
