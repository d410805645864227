"""The public ESCI UBI sample: three generations of shapes in one file. None of its oddities is an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.adapters.ubi import to_records
from jobs.ingest.deliveries import find_deliveries
from jobs.ingest.lines import read_lines
from jobs.ingest.merge import merge_documents
from jobs.ingest.staging import stage
from jobs.runtime.sections import IngestSettings

DAY = "2025-03-04"
SETTINGS = IngestSettings(late_days=366, position_base_by_application={"esci_ubi_sample": 0})


@pytest.fixture(scope="module")
def lines(spark: SparkSession, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    root = tmp_path_factory.mktemp("esci")
    (root / f"dt={DAY}").mkdir()
    source = shared_data / "esci_ubi_sample" / "ubi_queries_events.ndjson.gz"
    shutil.copyfile(source, root / f"dt={DAY}" / "ubi.ndjson.gz")
    [delivery] = find_deliveries(root, DAY, [], SETTINGS.files)
    return read_lines(spark, delivery.files)


@pytest.fixture(scope="module")
def records(lines: DataFrame) -> Iterator[DataFrame]:
    """The adapter's records, before anything is refused or merged."""
    found = to_records(lines, SETTINGS).cache()
    yield found
    found.unpersist()


@pytest.fixture(scope="module")
def staged(lines: DataFrame) -> Iterator[DataFrame]:
    found = stage(lines, SETTINGS, b"k" * 32).cache()
    yield found
    found.unpersist()


def test_every_line_has_its_kind_and_none_is_unreadable(records: DataFrame) -> None:
    kinds = {r["kind"]: r["count"] for r in records.groupBy("kind").count().collect()}
    assert kinds == {"action": 3921, "query": 473, "event": 3448}
    assert records.where("refusal is not null").count() == 0


def test_events_without_their_query_are_kept_and_counted(records: DataFrame) -> None:
    events, queries = records.where("kind = 'event'"), records.where("kind = 'query'").select("query_id").distinct()
    assert queries.count() == 284
    assert events.where("query_id is null").count() == 2
    assert events.where("query_id is not null").join(queries, "query_id", "left_anti").count() == 944


def test_conversions_without_an_impression_are_as_many_as_the_reference_says(records: DataFrame) -> None:
    events = records.where("kind = 'event'")
    shown = events.where("action = 'impression'").select("query_id", "object_id").distinct()
    unseen = events.where("action in ('click', 'add_to_cart', 'purchase')").join(shown, ["query_id", "object_id"], "left_anti")
    assert {r["action"]: r["count"] for r in unseen.groupBy("action").count().collect()} == {
        "click": 41, "add_to_cart": 48, "purchase": 6
    }


def test_both_position_bases_stand_in_one_file_and_end_one_based(records: DataFrame) -> None:
    shown = records.where("action = 'impression'")
    assert shown.where("ordinal = 0").count() == 200
    assert {r["application"] for r in shown.where("ordinal = 0").select("application").distinct().collect()} == {"esci_ubi_sample"}
    assert shown.agg(F.min("position").alias("least")).first()["least"] == 1


def test_documents_merge_to_one_request_an_id_and_keep_78_hit_lists(staged: DataFrame) -> None:
    documents = staged.where("kind = 'query' and (disposition is null or disposition = 'merged')")
    merged = merge_documents(documents)
    row = merged.agg(
        F.count(F.lit(1)).alias("ids"), F.count_if(F.size("hit_ids") > 0).alias("lists"), F.sum("sources").alias("documents"),
        F.count_if(F.col("disposition").isNotNull()).alias("incomplete"),
    ).first()
    copies = staged.where("kind = 'query' and disposition = 'duplicate'").count()
    assert (row["ids"], row["lists"], row["incomplete"]) == (284, 78, 0)
    assert row["documents"] + copies == 473


def test_seven_ids_carry_two_texts_and_the_one_that_says_something_wins(staged: DataFrame) -> None:
    documents = staged.where("kind = 'query' and (disposition is null or disposition = 'merged')")
    twice = documents.groupBy("query_id").agg(F.count_distinct("query_text").alias("n")).where("n > 1")
    texts = {r["query_text"] for r in merge_documents(documents).join(twice, "query_id").select("query_text").collect()}
    assert twice.count() == 7
    assert {"soundbar saiyin", "samsung"} <= texts and "" not in texts


def test_what_is_refused_are_actions_that_no_label_needs(staged: DataFrame) -> None:
    refused = staged.where("disposition = 'quarantined'")
    assert {r["reason"] for r in refused.select("reason").distinct().collect()} == {"unknown_action"}
    assert refused.count() == 3448 - (1999 + 287 + 234 + 6)
