"""JDsearch: labels that come with the data become requests, impressions and items that the later jobs read."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import build_tuples, build_vocabulary
from jobs.cli import main
from jobs.ingest_jdsearch import JOB
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.snapshots import SnapshotLog
from tests.jobs.adapters.jdsearch_cases import DAY, deliver, line, product, random_files
from tests.jobs.published import config_in

SMALL = {name: {} for name in ("ledger.quarantined_share.critical", "item_ledger.quarantined_share.critical")}
"""Bounds on shares are for real sizes."""
CARTED = [
    {"name": "random", "source": "stream"}, {"name": "unclicked", "evidence": "examined", "per_tuple": 2},
    {"name": "clicked", "evidence": "clicked", "per_tuple": 1, "positive": True},
    {"name": "carted", "evidence": "carted", "per_tuple": 1, "positive": True},
    {"name": "ordered", "evidence": "ordered", "per_tuple": 1, "positive": True},
]


def load(spark: SparkSession, config: Config) -> JobContext:
    return run_job(JOB, config, date.fromisoformat(DAY), lambda: spark)


def config_of(root: Path, **sections: Any) -> Config:
    return config_in(root, audit={"bounds": SMALL}, **sections)


def days_of(context: JobContext, dataset: str) -> list[str]:
    return sorted(day for name, day in context.outputs if name == dataset)


def ledger(context: JobContext, dataset: str) -> dict[tuple[str, str, str], tuple[int, int]]:
    rows = context.written(dataset, [DAY]).collect()
    return {(r["kind"], r["disposition"], r["reason"]): (r["records"], r["derived"]) for r in rows}


GOOD = line(["11", "22"], [("a", 3), ("b", 2), ("c", 1), ("d", 0), ("a", 1), ("z", 0)])
BAD = {
    "bad_label": line(["1"], [("a", 7)]), "missing_query_text": line([""], [("a", 1)]),
    "list_lengths": GOOD.replace("3.0_", "", 1), "bad_object_id": line(["1"], [("", 1), ("b", 0)]), "column_count": "11\ta\t1.0",
}
PRODUCTS = [
    product("a", ["33", "44"], brand="55"), product("b", ["33"], shop="-1"), product("c", ["66"]), product("d", ["77"]),
    product("d", ["77"]), product("e", [""]), "f\tonly two",
]


@pytest.fixture(scope="module")
def loaded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    root = tmp_path_factory.mktemp("jdsearch")
    deliver(root, [GOOD, *BAD.values(), GOOD], PRODUCTS)
    return load(spark, config_of(root, jdsearch={"days": 1}, stages=CARTED))


def test_each_label_is_the_stage_that_it_says(loaded: JobContext) -> None:
    rows = {r["object_id"]: r for r in loaded.written("impressions", [DAY]).collect()}
    assert {item: r["stage"] for item, r in rows.items()} == {
        "a": "ordered", "b": "carted", "c": "clicked", "d": "unclicked", "z": "unclicked"
    }
    assert {item: r["attribution_rule"] for item, r in rows.items()} == {**dict.fromkeys("abc", "given"), "d": None, "z": None}
    assert {(r["position"], r["examined"], r["implied"]) for r in rows.values()} == {(None, True, True)}
    assert [rows["a"][name] is not None for name in ("clicked_ts", "carted_ts", "ordered_ts")] == [False, False, True]


def test_terms_become_words_and_what_nobody_knows_stays_null(loaded: JobContext) -> None:
    [row] = loaded.written("requests", [DAY]).collect()
    assert (row["query_text"], row["query_norm"], row["sources"]) == ("11 22", "11 22", 1)
    unknown = ("session_id", "client_id", "user_key", "page", "sort", "hit_ids")
    assert [row[name] for name in unknown] == [None] * len(unknown)
    items = {r["object_id"]: r for r in loaded.written("items", [DAY]).collect()}
    assert sorted(r["dense_id"] for r in items.values()) == [0, 1, 2, 3]
    a, b = items["a"], items["b"]
    assert (a["title"], a["brand"], a["category_path"], a["shop"], a["price"]) == ("33 44", "55", "c1 > c2", "s1", None)
    assert (b["brand"], b["shop"]) == (None, None)


def test_every_line_is_accounted_for_and_the_impressions_derived_from_it(loaded: JobContext) -> None:
    assert ledger(loaded, "ledger") == {
        ("header", "merged", "header_line"): (1, 0), ("query", "accepted", ""): (1, 0), ("query", "duplicate", "same_record"): (1, 0),
        **{("query", "quarantined", reason): (1, 0) for reason in BAD},
        ("impression", "accepted", ""): (0, 5), ("impression", "merged", "same_item"): (0, 1),
    }
    assert ledger(loaded, "item_ledger") == {
        ("header", "merged", "header_line"): (1, 0), ("item", "accepted", ""): (4, 0), ("item", "duplicate", "object_id_again"): (1, 0),
        ("item", "quarantined", "blank_title"): (1, 0), ("item", "quarantined", "column_count"): (1, 0),
    }
    for name in ("ledger", "item_ledger"):
        assert loaded.outputs[name, DAY].metrics["unaccounted_records"] == 0
    refused = {r["reason"]: r["field"] for r in loaded.written("quarantine", [DAY]).collect()}
    assert set(refused) == set(BAD) and refused["bad_label"] == "candidate_label_list"


def test_candidates_that_no_product_describes_are_counted(loaded: JobContext) -> None:
    assert loaded.outputs["impressions", DAY].facts["without_metadata"] == {"items": 1, "impressions": 1}


@pytest.mark.slow
def test_vocabulary_and_tuples_are_built_from_it_as_from_any_labels(spark: SparkSession, tmp_path: Path) -> None:
    deliver(tmp_path, *random_files(searches=60, products=30))
    config = config_of(tmp_path, tuples={"row_group_rows": 8}, train={"window_days": 8}, item_stream={"entries": 50})
    loaded = load(spark, config)
    assert len(days_of(loaded, "impressions")) == 8
    run_job(build_vocabulary.JOB, config, date.fromisoformat(DAY), lambda: spark)
    tuples = run_job(build_tuples.JOB, config, date.fromisoformat(DAY), lambda: spark).outputs["tuples", DAY]
    days = Counter(r["event_date"].isoformat() for r in loaded.written("requests", [DAY]).collect())
    assert tuples.facts["rows"] == {
        "train": sum(days[f"2026-01-0{n}"] for n in range(1, 7)), "validation": days["2026-01-07"], "test": days["2026-01-08"]
    }
    assert tuples.rows == 60 and min(days.values()) > 0


def test_a_missing_file_of_products_stops_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path, [GOOD], PRODUCTS)
    (tmp_path / "raw" / f"dt={DAY}" / "product_meta_data.txt").unlink()
    shop = tmp_path / "shop.yaml"
    shop.write_text(f"paths: {{raw: {tmp_path}/raw, warehouse: {tmp_path}/warehouse, reports: {tmp_path}/reports}}\n")
    assert main(["ingest_jdsearch", "--config", str(shop), "--date", DAY, "--log-file", "/dev/null"]) == 3
    assert "no file of products; expected files named product_meta_data*" in capsys.readouterr().err
    assert SnapshotLog(tmp_path / "warehouse").head().snapshots == {}


def test_the_public_sample_is_loaded_whole(spark: SparkSession, shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw" / f"dt={DAY}"
    folder.mkdir(parents=True)
    for name in ("user_behavior_data_sample.txt", "product_meta_data_sample.txt"):
        shutil.copyfile(shared_data / "jdsearch_sample" / name, folder / name)
    context = load(spark, config_of(tmp_path, jdsearch={"days": 1}))
    assert context.outputs["requests", DAY].rows == 3
    assert context.outputs["impressions", DAY].rows == 90 + 89 + 83
    assert context.outputs["impressions", DAY].facts["funnel"] == {"clicked": 1 + 2 + 2, "unclicked": 89 + 87 + 81}
    assert context.outputs["items", DAY].rows == 409
    assert context.outputs["impressions", DAY].facts["without_metadata"] == {"items": 0, "impressions": 0}
    for name, lines in (("ledger", 4), ("item_ledger", 410)):
        assert context.outputs[name, DAY].metrics["unaccounted_records"] == 0
        assert context.outputs[name, DAY].metrics["records"] == lines
