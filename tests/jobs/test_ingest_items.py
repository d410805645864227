"""The catalogue: what is refused, which of two lines wins, and numbers that stay."""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from jobs.ingest_items import JOB
from jobs.items.numbering import bucket_offsets, extend_numbering
from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, InputError
from jobs.runtime.job import JobContext, run_job
from jobs.runtime.sections import PathSettings

DAY = date(2026, 1, 8)


def line(object_id: str, **changes: Any) -> str:
    body = {
        "object_id": object_id, "locale": "en", "title": f"Title of {object_id}", "brand": "Acme",
        "category_path": "A > B", "shop": "S", "price": 9.5, "available": True, "valid_from": "2026-01-01T00:00:00Z",
    }
    return json.dumps({**body, **changes})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(paths=PathSettings(
        raw=str(tmp_path / "raw"), warehouse=str(tmp_path / "wh"), reports=str(tmp_path / "reports")
    ))


def deliver(config: Config, day: date, *files: list[str]) -> None:
    folder = Path(config.paths.raw) / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    for n, lines in enumerate(files):
        (folder / f"catalogue-{n:05d}.json.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def ingest(spark: SparkSession, config: Config, day: date = DAY) -> JobContext:
    return run_job(JOB, config, day, lambda: spark)


def rows(spark: SparkSession, config: Config, context: JobContext, dataset: str) -> list[Any]:
    folder = Path(config.paths.warehouse) / dataset / f"dt={context.dt}" / f"run={context.run_id}"
    return spark.read.parquet(str(folder)).collect()


def test_every_line_ends_in_exactly_one_disposition(spark: SparkSession, config: Config) -> None:
    good = [line(f"p{n}") for n in range(300)]
    bad = ["{broken", line("x1", title=" "), line("x2", price="cheap"), line("x3", price=-1), line(""),
           line("x4", valid_from="soon"), line("x5", available="perhaps")]
    deliver(config, DAY, [*good, *bad[:4]], [*bad[4:], good[0], line("p1", title="Another title")])
    context = ingest(spark, config)
    ledger = {(r["disposition"], r["reason"]): 0 for r in rows(spark, config, context, "item_ledger")}
    for r in rows(spark, config, context, "item_ledger"):
        ledger[r["disposition"], r["reason"]] += r["records"]
    assert ledger == {
        ("accepted", ""): 300, ("duplicate", "object_id_again"): 2, ("quarantined", "not_json"): 1,
        ("quarantined", "blank_title"): 1, ("quarantined", "bad_price"): 2, ("quarantined", "missing_object_id"): 1,
        ("quarantined", "bad_valid_from"): 1, ("quarantined", "bad_available"): 1,
    }
    refused = {(Path(r["file"]).name, r["line"]): r["reason"] for r in rows(spark, config, context, "item_quarantine")}
    assert refused["catalogue-00000.json.gz", 301] == "not_json"
    assert refused["catalogue-00001.json.gz", 3] == "bad_available"


def test_numbers_stay_when_items_go_and_come_back(spark: SparkSession, config: Config) -> None:
    tomorrow, after = DAY + timedelta(days=1), DAY + timedelta(days=2)
    deliver(config, DAY, [line("a"), line("b")])
    deliver(config, tomorrow, [line("b"), line("c")])
    deliver(config, after, [line("a"), line("b"), line("c")])
    numbers = []
    for day in (DAY, tomorrow, after):
        numbers.append({r["object_id"]: r["dense_id"] for r in rows(spark, config, ingest(spark, config, day), "items")})
    assert sorted(numbers[0].values()) == [0, 1]
    assert numbers[1] == {"b": numbers[0]["b"], "c": 2}
    assert numbers[2] == {**numbers[0], "c": 2}


def test_a_date_run_again_gives_the_same_content_even_from_other_files(spark: SparkSession, config: Config) -> None:
    lines = [line(f"p{n}") for n in range(50)]
    deliver(config, DAY, lines)
    first = ingest(spark, config).outputs
    deliver(config, DAY, lines[25:], lines[:25][::-1])
    second = ingest(spark, config).outputs
    for dataset in ("items", "numbering"):
        assert first[dataset, "2026-01-08"].content_hash == second[dataset, "2026-01-08"].content_hash


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_numbering_does_not_depend_on_the_layout(spark: SparkSession, partitions: int) -> None:
    objects = spark.range(500).selectExpr("concat('o', id) as object_id").repartition(partitions)
    known = spark.createDataFrame([("o3", 0), ("gone", 1)], "object_id string, dense_id bigint")
    numbers = {r["object_id"]: r["dense_id"] for r in extend_numbering(known, objects).collect()}
    assert sorted(numbers.values()) == list(range(501))
    assert (numbers["o3"], numbers["gone"]) == (0, 1)
    fresh = extend_numbering(known, spark.range(500).selectExpr("concat('o', id) as object_id").coalesce(1))
    assert {r["object_id"]: r["dense_id"] for r in fresh.collect()} == numbers


@given(st.dictionaries(st.integers(0, 1023), st.integers(1, 5)), st.integers(0, 10))
def test_bucket_ranges_touch_and_never_overlap(sizes: dict[int, int], start: int) -> None:
    offsets = bucket_offsets(sizes, start)
    taken = [n for bucket in sizes for n in range(offsets[bucket], offsets[bucket] + sizes[bucket])]
    assert sorted(taken) == list(range(start, start + sum(sizes.values())))


def test_an_older_delivery_stands_in_for_a_while_and_then_no_more(spark: SparkSession, config: Config) -> None:
    deliver(config, DAY, [line("a")])
    assert ingest(spark, config, DAY + timedelta(days=3)).notes["delivery of"] == "2026-01-08"
    with pytest.raises(Blocked, match="dt=2026-01-12: no catalogue file, nor in the days since 2026-01-09"):
        ingest(spark, config, DAY + timedelta(days=4))


def test_a_damaged_file_is_named_and_nothing_is_published(spark: SparkSession, config: Config) -> None:
    deliver(config, DAY, [line(f"p{n}") for n in range(2000)])
    path = Path(config.paths.raw) / f"dt={DAY}" / "catalogue-00000.json.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"catalogue-00000\.json\.gz: cannot be read to its end"):
        ingest(spark, config)
    assert not (Path(config.paths.warehouse) / "_log").exists()
