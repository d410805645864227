"""The labels of the Spark job against the same rules in one DuckDB query, on a log with everything the rules speak of."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.reference import connect, differences, label_with_duckdb
from benchmarks.shop_log import DAYS, ShopLog, events_of, requests_of
from benchmarks.warehouse import config_for, files_of, label_all, linked, publish_log
from jobs.runtime.config import Config
from schemas.impressions import ATTRIBUTION_RULES

LOG = ShopLog(20_000, skewed=True)


@pytest.fixture(scope="module")
def labelled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A warehouse with the skewed log and its labels."""
    root = tmp_path_factory.mktemp("labels")
    source = config_for(root / "given", "2g", 2)
    publish_log(spark, source, LOG)
    found = linked(source, config_for(root / "run", "2g", 2))
    label_all(spark, found)
    return found


def read(spark: SparkSession, labelled: Config, dataset: str) -> DataFrame:
    return spark.read.parquet(*files_of(labelled, [dataset])[dataset])


@pytest.mark.slow
def test_spark_and_duckdb_agree_row_for_row(labelled: Config, tmp_path: Path) -> None:
    files, target = files_of(labelled, ("requests", "events", "impressions")), tmp_path / "duckdb.parquet"
    with connect(tmp_path / "spill") as database:
        label_with_duckdb(database, files, labelled.labels, target)
        rows, different = differences(database, files["impressions"], target)
        assert not different
        assert rows == database.execute(f"SELECT count(*) FROM '{target}'").fetchone()[0] > 20_000


@pytest.mark.slow
def test_a_single_changed_or_missing_row_would_be_found(labelled: Config, tmp_path: Path) -> None:
    files = files_of(labelled, ("requests", "events", "impressions"))
    target, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with connect(tmp_path / "spill") as database:
        label_with_duckdb(database, files, labelled.labels, target)
        one = f"(SELECT min(query_id || object_id) FROM '{target}')"
        database.execute(f"COPY (FROM '{target}' WHERE query_id || object_id <> {one}) TO '{other}' (FORMAT parquet)")
        assert len(differences(database, files["impressions"], other)[1]) == 1
        database.execute(
            f"COPY (SELECT * REPLACE (CASE WHEN query_id || object_id = {one} THEN 99 ELSE position END AS position) "
            f"FROM '{target}') TO '{other}' (FORMAT parquet)"
        )
        assert len(differences(database, files["impressions"], other)[1]) == 1


@pytest.mark.slow
def test_the_log_holds_what_the_rules_speak_of(spark: SparkSession, labelled: Config) -> None:
    rules = {row["rule"] for row in read(spark, labelled, "attributions").select("rule").distinct().collect()}
    assert rules >= set(ATTRIBUTION_RULES) - {"none"}
    found = read(spark, labelled, "impressions").agg(
        F.collect_set("stage").alias("stages"), F.max(F.size("undone_carts")).alias("carts"),
        F.max(F.size("undone_orders")).alias("orders"), F.count_if("user_refined").alias("refined"),
    ).first()
    assert set(found["stages"]) == {"unclicked", "clicked", "ordered"}
    assert min(found["carts"], found["orders"], found["refined"]) > 0


def test_the_skewed_log_is_as_skewed_as_it_says(spark: SparkSession) -> None:
    log = ShopLog(100_000, skewed=True)

    def share(frame: DataFrame, condition: str) -> float:
        return frame.select(F.avg(F.expr(condition).cast("double"))).first()[0]

    searches, shown = requests_of(spark, log), events_of(spark, log).where("action = 'impression'")
    assert share(searches, "query_text = 'query 0'") >= 0.3
    assert share(searches, "session_id = 'sheavy'") == pytest.approx(0.1, abs=0.02)
    assert share(shown, "object_id = 'p0'") >= 0.2


def test_a_log_is_the_same_however_it_is_computed(spark: SparkSession) -> None:
    def fingerprint(frame: DataFrame) -> tuple[int, ...]:
        return tuple(frame.select(F.count("*"), F.sum(F.xxhash64(*frame.columns).cast("decimal(38,0)"))).first())

    small = ShopLog(5_000)
    assert fingerprint(events_of(spark, small)) == fingerprint(events_of(spark, small).repartition(3, "ts"))
    assert fingerprint(events_of(spark, small)) != fingerprint(events_of(spark, ShopLog(5_000, seed=8)))
    assert events_of(spark, small).select("event_date").distinct().count() == DAYS
