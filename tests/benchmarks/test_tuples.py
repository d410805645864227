"""The tuples of the Spark job against those made by hand in one process; and the figures of the benchmark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import SparkSession

from benchmarks.reference import connect
from benchmarks.shop_catalogue import ShopCatalogue
from benchmarks.shop_labels import ShopLabels
from benchmarks.stages import Cost, Query, StatusStores, scans_of, written_by
from benchmarks.stages import table as query_table
from benchmarks.tuples import DATASETS, sizes_of
from benchmarks.tuples_compare import differences
from benchmarks.tuples_driver import DriverMemory
from benchmarks.tuples_reference import build_with_duckdb
from benchmarks.tuples_report import Measured, report, table
from benchmarks.tuples_warehouse import build_all, joined, publish_catalogue, publish_labels, publish_vocabulary
from benchmarks.warehouse import config_for, files_of
from jobs.runtime.config import Config
from jobs.runtime.manifest import Manifest


class Built(NamedTuple):
    """What Spark has published and the reference has written."""

    config: Config
    files: dict[str, list[str]]
    tuples: Manifest
    stream: Manifest
    cost: Cost

    def unlike(self, database: Any, folder: Path, **changed: Any) -> list[str]:
        """The differences, with other manifests where they are given."""
        tuples, stream = changed.get("tuples", self.tuples), changed.get("stream", self.stream)
        return differences(database, self.files, tuples, stream, folder, self.config)


def capped(config: Config) -> Config:
    """The same with a cap that bites and a stream that draws a part of a small catalogue."""
    return config.model_copy(update={
        "tuples": config.tuples.model_copy(update={"max_per_query": 8, "row_group_rows": 64}),
        "item_stream": config.item_stream.model_copy(update={"entries": 1_500}),
    })


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("tuples")
    catalogue, vocabulary, log, run = (config_for(root / name, "2g", 2) for name in ("catalogue", "vocabulary", "log", "run"))
    publish_catalogue(spark, catalogue, ShopCatalogue(3_000))
    publish_vocabulary(spark, vocabulary, ShopCatalogue(3_000))
    publish_labels(spark, log, ShopLabels.of(16_000, 3_000))
    config, stores = capped(joined(catalogue, vocabulary, log, run)), StatusStores(spark)
    stores.begin()
    context = build_all(spark, config)
    outputs = [context.outputs[name, context.dt] for name in ("tuples", "item_stream")]
    return Built(config, files_of(config, DATASETS), *outputs, stores.cost())


@pytest.fixture(scope="module")
def reference(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(database, folder) of the reference."""
    folder = tmp_path_factory.mktemp("reference")
    with connect(folder / "spill") as database:
        build_with_duckdb(database, built.files, built.config, folder)
        yield database, folder


@pytest.mark.slow
def test_spark_and_the_reference_agree_on_whatever_no_draw_decides(built: Built, reference: Any) -> None:
    assert built.unlike(*reference) == []
    facts = built.tuples.facts
    assert facts["capped"]["train"] > 0 and facts["lost_requests"]["session"] > 0
    assert set(facts["lost_items"]) == {"unknown_item", "future_item", "no_room"}
    assert min(facts["rows"].values()) > 50


@pytest.mark.slow
def test_another_count_in_the_manifest_would_be_found(built: Built, reference: Any) -> None:
    for fact in ("rows", "requests", "capped"):
        facts = {**built.tuples.facts, fact: {**built.tuples.facts[fact], "train": 1}}
        found = built.unlike(*reference, tuples=replace(built.tuples, facts=facts))
        assert len(found) == 1 and found[0].startswith(f"{fact}: Spark")
    other = replace(built.stream, facts={**built.stream.facts, "available_items": 3})
    assert built.unlike(*reference, stream=other)[0].startswith("available_items: Spark 3, DuckDB")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("FROM {} WHERE query_id <> {one}", "only one side has the tuple"),
        ("SELECT * REPLACE (NOT query_seen AS query_seen) FROM {} WHERE query_id = {one} UNION ALL FROM {} WHERE query_id <> {one}",
         "differs in one of"),
        ("SELECT * REPLACE (query_id || 'x' AS query_id) FROM {}", "only one side has the tuple"),
        ("SELECT * REPLACE (ts + INTERVAL 1 SECOND AS ts) FROM {}", "differs in one of"),
        ("SELECT * REPLACE ((SELECT min(dense_ids) FROM {}) AS dense_ids) FROM {}", "other items"),
        ("SELECT * REPLACE ((SELECT min(items) FROM {}) AS items) FROM {}", "other items"),
    ],
)
def test_a_single_wrong_tuple_would_be_found(built: Built, reference: Any, tmp_path: Path, change: str, sentence: str) -> None:
    database, folder = reference
    for path in folder.glob("*.parquet"):
        (tmp_path / path.name).symlink_to(path)
    test = tmp_path / "tuples-test.parquet"
    test.unlink()
    given = f"'{folder / test.name}'"
    query = change.replace("{one}", f"(SELECT min(query_id) FROM {given})").replace("{}", given)
    database.execute(f"COPY ({query}) TO '{test}' (FORMAT parquet)")
    found = built.unlike(database, tmp_path)
    assert found and all(sentence in line for line in found)


@pytest.mark.slow
def test_other_tokens_in_the_stream_and_a_stream_too_long_would_be_found(built: Built, reference: Any, tmp_path: Path) -> None:
    database, folder = reference
    for path in folder.glob("tuples-*.parquet"):
        (tmp_path / path.name).symlink_to(path)
    given, stream = f"'{folder / 'item_stream.parquet'}'", tmp_path / "item_stream.parquet"
    database.execute(f"COPY (SELECT * REPLACE (title_query AS item) FROM {given}) TO '{stream}' (FORMAT parquet)")
    assert all("other tokens" in line for line in built.unlike(database, tmp_path)) and built.unlike(database, tmp_path)
    database.execute(f"COPY (FROM {given} UNION ALL SELECT * REPLACE (copy + 1000 AS copy) FROM {given}) TO '{stream}' (FORMAT parquet)")
    assert [line for line in built.unlike(database, tmp_path) if "entries in the stream; expected 1500" in line]


@pytest.mark.slow
def test_the_status_stores_tell_what_a_run_shuffled_and_scanned(built: Built) -> None:
    assert built.cost.shuffle_bytes > 100_000 and built.cost.disk_spill_bytes == 0
    assert {"items", "requests", "impressions", "vocabulary"} <= set(built.cost.scans())
    assert all(query.seconds >= 0 for query in built.cost.queries)
    assert {"write tuples", "write item_stream"} <= {query.name for query in built.cost.queries}


PLAN = """
(1) Scan parquet
Output [2]: [dense_id#1L, title#2]
Batched: true
Location: InMemoryFileIndex [file:/w/items/dt=2026-01-08/run=a/part-0.parquet, ... 3 entries]
ReadSchema: struct<dense_id:bigint,title:string>

(2) Scan parquet
Output [1]: [dense_id#3L]
Batched: true
Location: InMemoryFileIndex [file:/w/items/dt=2026-01-08/run=a/part-0.parquet]

(3) Scan parquet
Output [1]: [query_id#4]
Batched: true
Location: InMemoryFileIndex [file:/w/tuples/_staging-b/slots]

(4) Scan parquet
Output [1]: [dense_id#3L]
Batched: true
Location: InMemoryFileIndex [file:/w/items/dt=2026-01-08/run=a/part-0.parquet]

(5) Execute InsertIntoHadoopFsRelationCommand
Input [1]: [dense_id#3L]
Arguments: file:/w/tuples/_staging-b/candidates, false, Parquet, [], ErrorIfExists
"""


def test_scans_are_counted_by_dataset_once_for_the_initial_and_the_final_plan() -> None:
    assert scans_of(PLAN) == {"items": 2, "slots": 1}
    assert written_by(PLAN) == "write candidates" and written_by(PLAN[: PLAN.index("(5)")]) == ""


def test_the_table_of_queries_shows_the_dearest_in_their_order() -> None:
    queries = [Query(name, seconds, 2 * seconds, 3 << 20, {"items": 2, "slots": 1})
               for name, seconds in (("a", 1.0), ("b", 3.0), ("c", 2.0))]
    assert query_table(tuple(queries), most=2).splitlines()[2:] == [
        "| 1: b | 3.0 | 6.0 | 3 | items x 2, slots |", "| 2: c | 2.0 | 4.0 | 3 | items x 2, slots |",
    ]


def test_sizes_vary_impressions_and_items_each_on_their_own() -> None:
    assert sizes_of(80, 5_000_000) == [
        (10, 100_000), (20, 100_000), (40, 100_000), (80, 100_000), (10, 1_250_000), (10, 5_000_000), (80, 5_000_000),
    ]


def test_the_report_is_that_of_the_plane_and_of_the_largest_size() -> None:
    sizes = sizes_of(8_000_000, 5_000_000)
    measured = [
        Measured(n, m, n // 20, n // 40, 100, 400 * (n // 40), 10 + 20e-6 * n + 3e-6 * m, n * 1e-5 + m * 1e-6, 35.0)
        for n, m in sizes
    ]
    scans = {m: 0.5 + 2e-6 * m for m in (100_000, 1_250_000, 5_000_000)}
    cost = Cost(1_000, 50, 20, (Query("q", 1.0, 2.0, 1_000, {"items": 2}), Query("r", 1.0, 2.0, 0, {"items": 1, "slots": 1})))
    drivers = {5_000_000: DriverMemory(110, 100, 110, 60), 100_000: DriverMemory(100, 100, 100, 40)}
    found = report(measured, scans, cost, drivers, 3_000)
    assert (found["impressions"], found["items"], found["seconds"]) == (8_000_000, 5_000_000, pytest.approx(185))
    assert (found["rows_per_second"], found["ratio_to_single_node"]) == (43_243, 5.29)
    assert (found["fixed_seconds"], found["seconds_per_million_impressions"], found["seconds_per_million_items"]) == (10, 20, 3)
    assert (found["growth"], found["item_cost_in_scans"], found["largest_residual"]) == (0, 1.5, 0)
    assert (found["driver_mib"], found["driver_growth"], found["bytes_per_row"]) == (220, 0.1, 400)
    assert (found["shuffle_bytes"], found["spill_bytes"], found["item_table_scans"]) == (1_000, 20, 3)
    assert report(measured, scans, cost, {}, 3_000)["driver_mib"] is None
    assert table(measured[-1:]).splitlines()[-1] == "| 8,000,000 | 5,000,000 | 400,000 | 200,000 | 185.0 | 85.0 | 35.0 | 5.29 |"
